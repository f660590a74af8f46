package git

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

func TestRow44_WhyAWorkspaceCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cause  error
		reason string
		hint   string
	}{
		{syscall.ENOSPC, "DiskFull", "space"},
		{syscall.EDQUOT, "DiskFull", "space"},
		{syscall.EROFS, "WorkspaceReadOnly", "can be written"},
		{syscall.EACCES, "WorkspaceNotWritable", "fsGroup"},
		{syscall.EPERM, "WorkspaceNotWritable", "fsGroup"},
	} {
		err := writable(fmt.Errorf("wrapped: %w", &fs.PathError{Op: "open", Path: "/ws/x", Err: test.cause}), "/ws")
		f := fault.Of(err)
		if f.Reason != test.reason || !strings.Contains(f.Hint, test.hint) || !strings.Contains(err.Error(), "/ws") {
			t.Errorf("%v: got %s, %q, %v", test.cause, f.Reason, f.Hint, err)
		}
	}
	if writable(nil, "/ws") != nil || writable(os.ErrNotExist, "/ws") != os.ErrNotExist {
		t.Error("other errors must pass")
	}
}
