package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"
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
	g := group{id: cmd.Process.Pid, ended: make(chan error, 1)}
	// The group's number is its leader's. It stays taken until the leader is waited
	// for: until then no signal reaches another process.
	go func() { g.ended <- awaitEnd(g.id) }()
	stopped := g.await(ctx, timeout)
	// What the main process left behind ends with it, as in a container.
	g.signal(syscall.SIGKILL)
	return cmp.Or(stopped, cmd.Wait())
}

// group is a process group whose leader was not waited for yet.
type group struct {
	id    int
	ended chan error // its leader
}

func (g group) signal(s syscall.Signal) { _ = syscall.Kill(-g.id, s) }

// await returns when the leader has ended or is to be killed, and why.
func (g group) await(ctx context.Context, timeout time.Duration) error {
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case err := <-g.ended:
		return err
	case <-expired:
		return errStepTimeout
	case <-ctx.Done():
	}
	g.signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(patience):
	}
	return context.Cause(ctx)
}

// awaitEnd returns when a child of this process has ended, and leaves it to be
// waited for. The package os can only do both at once.
func awaitEnd(pid int) error {
	const byPID = 1 // P_PID
	var info [128]byte
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(pid), uintptr(unsafe.Pointer(&info)), syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
			continue
		}
		return fmt.Errorf("wait for process %d: %w", pid, errno)
	}
}
