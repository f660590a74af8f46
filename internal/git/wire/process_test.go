package wire

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// bareRepository is a repository on this machine without a commit.
func bareRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("git", "init", "-q", "--bare", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	return dir
}

// TestAProgramIsWaitedForOnce: the race detector sees two waits for one command.
func TestAProgramIsWaitedForOnce(t *testing.T) {
	local := &Local{Path: bareRepository(t)}
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		session, err := local.Open(ctx, UploadPack, 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session.Exchange(ctx, nil); err != nil {
			t.Fatal(err)
		}
		var ended sync.WaitGroup
		ended.Go(cancel)
		ended.Go(func() { session.Close() })
		ended.Wait()
	}
}

// TestWordsAreReadWhileTheyAreWritten: the race detector sees an unguarded read.
func TestWordsAreReadWhileTheyAreWritten(t *testing.T) {
	words := &Words{}
	var written sync.WaitGroup
	written.Go(func() {
		for range 100 {
			words.Write([]byte("remote: no\n"))
		}
	})
	for range 100 {
		_ = words.String()
	}
	written.Wait()
	if got := strings.Count(words.String(), "remote: no"); got != 100 {
		t.Errorf("%d of 100 lines were kept", got)
	}
}
