package git

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// writable explains why a folder of a workspace cannot be written. Other
// errors pass.
func writable(err error, dir string) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Disk(fmt.Errorf("write to %s: %w", dir, err))
	case errors.Is(err, syscall.EROFS):
		return fault.Usage("WorkspaceReadOnly", fmt.Errorf("write to %s: %w", dir, err),
			"Bind a workspace that can be written (not readOnly, not a secret or configmap).")
	case errors.Is(err, fs.ErrPermission):
		return fault.Usage("WorkspaceNotWritable", fmt.Errorf("write to %s: %w", dir, err),
			"The volume belongs to another user. Set fsGroup in the run's podTemplate.securityContext, such as 65532, to the group of the steps.")
	}
	return err
}
