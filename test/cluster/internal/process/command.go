package process

import (
	"context"
	"os/exec"
	"syscall"
)

// Command is exec.CommandContext for programs that start others, as go and ko do: when ctx ends, all of them are
// asked to end, not only the first, whose children would go on compiling for nobody.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = Grace
	return cmd
}
