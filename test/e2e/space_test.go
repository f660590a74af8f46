//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const filling = `apiVersion: tekton.dev/v1
kind: Task
metadata: {name: fill}
spec:
  workspaces: [{name: out}]
  steps:
    - {name: write, image: example.com/tools, script: "head -c 4000000 /dev/zero > $(workspaces.out.path)/file"}
`

// TestNoSpaceLeft runs the runner and the local servers on a disk that is full.
// It is here because only root may make such a disk.
func TestNoSpaceLeft(t *testing.T) {
	lockstep := program(t)
	dir := t.TempDir()
	if err := syscall.Mount("lockstep-test", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	task := filepath.Join(t.TempDir(), "fill.yaml")
	if err := os.WriteFile(task, []byte(filling), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), lockstep, args...)
		cmd.Env = append(os.Environ(), "LOCKSTEP_STATE="+dir, "HOME="+t.TempDir())
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), said.String()
	}
	wants := func(code int, said string, want int) {
		t.Helper()
		if code != want || !strings.Contains(strings.ToLower(said), "no space left on device") {
			t.Errorf("exit code %d, want %d and a word about the space:\n%s", code, want, said)
		}
	}

	// A step meets it first: its own words are shown, and the run is kept as failed.
	code, said := run("run", "--engine", "none", "--allow-host", "--name", "fill", task)
	wants(code, said, 1)

	// Then there is no room for a run at all, nor for the servers.
	rest, err := os.Create(filepath.Join(dir, "rest"))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	_, _ = rand.Read(block)
	for err == nil {
		_, err = rest.Write(block)
	}
	rest.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	code, said = run("run", "--engine", "none", "--allow-host", "--name", "second", task)
	wants(code, said, 1)
	code, said = run("local", "up", "--no-cluster", "--engine", "none", "--port", "7499")
	wants(code, said, 1)
}
