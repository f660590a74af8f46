package runner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// patience is how long a step may take to stop after SIGTERM: what our programs
// promise, and less than the 30 s of a pod.
const patience = 10 * time.Second

// errStepTimeout says that a step took longer than its own timeout.
var errStepTimeout = errors.New("the step exceeded its timeout")

// errNotStarted says that there was no program to run.
type errNotStarted struct{ err error }

func (e *errNotStarted) Error() string { return e.err.Error() }
func (e *errNotStarted) Unwrap() error { return e.err }

// runProcess runs a program in a process group of its own, with its output in
// log, and leaves nothing of the group behind. When ctx ends the group gets
// SIGTERM, and SIGKILL after patience. A timeout above zero is Tekton's step
// timeout: SIGKILL at once, and errStepTimeout.
func runProcess(ctx context.Context, cmd *exec.Cmd, log *os.File, timeout time.Duration) error {
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return &errNotStarted{err}
	}
	group := -cmd.Process.Pid
	// What the main process left behind ends with it, as in a container.
	defer syscall.Kill(group, syscall.SIGKILL) //nolint:errcheck // usually nothing is left
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case err := <-ended:
		return err
	case <-expired:
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-ended
		return errStepTimeout
	case <-ctx.Done():
	}
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(patience):
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-ended
	}
	return context.Cause(ctx)
}
