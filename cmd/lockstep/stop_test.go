package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const endless = `
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: endless}
spec:
  tasks:
    - {name: one, taskSpec: {steps: [{name: run, image: example.com/tools, script: "echo $$ >> $PIDS; sleep 600 & echo $! >> $PIDS; wait"}]}}
    - {name: two, taskSpec: {steps: [{name: run, image: example.com/tools, script: "echo $$ >> $PIDS; trap '' TERM; sleep 600 & echo $! >> $PIDS; sleep 1; sleep 600"}]}}
    - {name: later, runAfter: [one], taskSpec: {steps: [{name: run, image: example.com/tools, script: "echo $$ >> $PIDS"}]}}
  finally:
    - {name: clean, taskSpec: {steps: [{name: run, image: example.com/tools, script: "echo clean >> $PIDS"}]}}
`

// TestRow16InterruptLeavesNothing: SIGINT ends what runs, what ignores SIGTERM
// too, starts nothing more, and keeps the run as cancelled.
func TestRow16InterruptLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	file, pids := filepath.Join(dir, "endless.yaml"), filepath.Join(dir, "pids")
	if err := os.WriteFile(file, []byte(endless), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "run", "--engine", "none", "--allow-host", "--name", "endless", "-e", "PIDS="+pids, file)
	// testscript.Main runs the program of that name.
	program := filepath.Join(dir, "lockstep")
	if err := os.Symlink(os.Args[0], program); err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Args[0] = program, program
	cmd.Env = append(os.Environ(), "LOCKSTEP_STATE="+dir, "HOME="+dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return len(lines(pids)) == 4 })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d (%v), not 130\n%s", code, err, said.String())
	}
	started := lines(pids)
	if len(started) != 4 {
		t.Errorf("something started after the interrupt: %v", started)
	}
	for _, line := range started {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		await(t, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH || zombie(pid) })
	}
	if !strings.Contains(said.String(), "endless failed") || !strings.Contains(said.String(), "Cancelled") {
		t.Errorf("it says:\n%s", said.String())
	}
}

func lines(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

// zombie says that a process ended and that only its parent has not looked yet.
func zombie(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(text), ") Z ")
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 30 s")
		}
	}
}
