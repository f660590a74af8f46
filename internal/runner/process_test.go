package runner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAwaitEndLeavesTheProcess: the number of a process that was waited for may
// belong to another one, which must not get the signals of its group.
func TestAwaitEndLeavesTheProcess(t *testing.T) {
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := awaitEnd(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-cmd.Process.Pid, 0); err != nil {
		t.Errorf("its group is gone: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if err := awaitEnd(cmd.Process.Pid); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("a process that is gone: %v", err)
	}
}

// TestNothingIsLeftBehind covers each way in which a step ends.
func TestNothingIsLeftBehind(t *testing.T) {
	stop := errors.New("stopped")
	for name, c := range map[string]struct {
		script  string
		timeout time.Duration
		stop    bool
		want    error
	}{
		"ended":    {script: "exit 0"},
		"stopped":  {script: "wait", stop: true, want: stop},
		"deaf":     {script: "exec sleep 60", timeout: time.Millisecond, want: errStepTimeout},
		"no child": {script: "exit 3"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			log, err := os.Create(filepath.Join(dir, "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			cmd := exec.Command("sh", "-c", "sleep 60 & echo $! > "+filepath.Join(dir, "child")+"; "+c.script)
			if c.stop {
				go func() {
					for readChild(dir) == 0 {
						time.Sleep(time.Millisecond)
					}
					cancel(stop)
				}()
			}
			err = runProcess(ctx, cmd, log, c.timeout)
			var exited *exec.ExitError
			if c.want != nil && !errors.Is(err, c.want) || c.want == nil && err != nil && (!errors.As(err, &exited) || exited.ExitCode() != 3) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if child := readChild(dir); child != 0 && alive(child) {
				t.Errorf("process %d is still there", child)
			}
		})
	}
}

func readChild(dir string) int {
	text, _ := os.ReadFile(filepath.Join(dir, "child"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// alive says whether a process runs: one that was killed may wait for its new
// parent to take note.
func alive(pid int) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return false
		}
	}
	return true
}
