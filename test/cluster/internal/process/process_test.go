package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newTable(t *testing.T) Table {
	t.Helper()
	dir := t.TempDir()
	table := Table{Run: filepath.Join(dir, "run"), Logs: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		for _, name := range table.Names() {
			if err := table.Stop(context.Background(), name); err != nil {
				t.Error(err)
			}
		}
	})
	return table
}

func shell(name, script string) Spec {
	return Spec{Name: name, Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}
}

func ensure(t *testing.T, table Table, s Spec) (started bool) {
	t.Helper()
	started, err := table.Ensure(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return started
}

func TestEnsureLeavesWhatRuns(t *testing.T) {
	table, s := newTable(t), shell("server", "exec sleep 600")
	if !ensure(t, table, s) {
		t.Fatal("the first call started nothing")
	}
	pid := table.PID("server")
	if ensure(t, table, s) || table.PID("server") != pid {
		t.Errorf("the second call started process %d beside %d", table.PID("server"), pid)
	}
}

func TestEnsureReplacesAnotherCommand(t *testing.T) {
	table := newTable(t)
	ensure(t, table, shell("server", "exec sleep 600"))
	pid := table.PID("server")
	if !ensure(t, table, shell("server", "exec sleep 601")) || table.PID("server") == pid {
		t.Error("the old command is still running")
	}
	if _, err := startOf(pid); err == nil {
		t.Errorf("process %d was left behind", pid)
	}
}

func TestEnsureReplacesWhenAFileChanged(t *testing.T) {
	table, s := newTable(t), shell("server", "exec sleep 600")
	s.Files = []string{filepath.Join(t.TempDir(), "config")}
	for _, content := range []string{"one", "two"} {
		if err := os.WriteFile(s.Files[0], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if !ensure(t, table, s) {
			t.Errorf("nothing was started for the file's content %q", content)
		}
	}
}

func TestEnsureStartsAgainAfterKill(t *testing.T) {
	table, s := newTable(t), shell("server", "exec sleep 600")
	ensure(t, table, s)
	pid := table.PID("server")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitGone(t, table, "server")
	if !ensure(t, table, s) || table.PID("server") == pid {
		t.Error("it was not started again")
	}
}

// A record may outlive its process, and the system may give the process's number to somebody else.
func TestStopSparesAStrangersProcess(t *testing.T) {
	stranger := exec.Command("/bin/sleep", "600")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
	table := newTable(t)
	if err := table.write("server", record{PID: stranger.Process.Pid, Started: "another boot/1", Command: "x"}); err != nil {
		t.Fatal(err)
	}
	if pid := table.PID("server"); pid != 0 {
		t.Errorf("the stranger's process %d is taken for ours", pid)
	}
	if err := table.Stop(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	if _, err := startOf(stranger.Process.Pid); err != nil {
		t.Errorf("the stranger's process is gone: %v", err)
	}
	if names := table.Names(); len(names) != 0 {
		t.Errorf("records left: %v", names)
	}
}

func TestStopRemovesARecordThatIsCut(t *testing.T) {
	table := newTable(t)
	if err := os.MkdirAll(table.Run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(table.recordPath("server"), []byte(`{"pid":1,"star`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := table.Stop(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	if len(table.Names()) != 0 {
		t.Error("the record is still there")
	}
}

// The number of a process that ended, and that its parent has not collected, is not that of a running server.
func TestZombieCountsAsGone(t *testing.T) {
	child := exec.Command("/bin/sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	started, err := startOf(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Wait() })
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r := record{PID: child.Process.Pid, Started: started}
	if !r.gone(t.Context(), 10*time.Second) {
		t.Error("a zombie is taken for a running server")
	}
}

func TestStopKillsWhatIgnoresSIGTERM(t *testing.T) {
	table := newTable(t)
	ensure(t, table, shell("server", "trap '' TERM; echo trapped; while :; do sleep 1; done"))
	trapped := func(context.Context) error {
		if !strings.Contains(table.Tail("server"), "trapped") {
			return errors.New("not yet")
		}
		return nil
	}
	if err := table.Await(t.Context(), 10*time.Second, "the trap", trapped, "server"); err != nil {
		t.Fatal(err)
	}
	if err := table.Stop(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
}

func TestAwaitShowsTheLogOfAServerThatDied(t *testing.T) {
	table := newTable(t)
	// It lives until it was seen to run: one that is gone by then is Ensure's to report.
	seen := filepath.Join(t.TempDir(), "seen")
	ensure(t, table, shell("server", "until [ -e '"+seen+"' ]; do sleep 0.01; done; echo 'port is taken' >&2; exit 3"))
	if err := os.WriteFile(seen, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	never := func(context.Context) error { return errors.New("connection refused") }
	err := table.Await(t.Context(), 10*time.Second, "the server", never, "server")
	if !errors.Is(err, ErrDied) {
		t.Fatalf("got %v, want ErrDied", err)
	}
	for _, want := range []string{"port is taken", table.LogPath("server")} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestAwaitEndsAtItsLimit(t *testing.T) {
	table := newTable(t)
	ensure(t, table, shell("server", "exec sleep 600"))
	never := func(context.Context) error { return errors.New("503") }
	err := table.Await(t.Context(), 200*time.Millisecond, "the server", never, "server")
	if err == nil || errors.Is(err, ErrDied) || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want the last answer", err)
	}
}

func TestLogBeforeThisOneIsKept(t *testing.T) {
	table := newTable(t)
	for _, word := range []string{"first", "second"} {
		ensure(t, table, shell("server", "echo "+word+"; exec sleep 600"))
		said := func(context.Context) error {
			if !strings.Contains(table.Tail("server"), word) {
				return errors.New("not yet")
			}
			return nil
		}
		if err := table.Await(t.Context(), 10*time.Second, word, said, "server"); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{table.LogPath("server"): "second", table.LogPath("server") + ".1": "first"} {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q, %v; want %q", path, text, err, want)
		}
	}
}

func waitGone(t *testing.T, table Table, name string) {
	t.Helper()
	gone := func(context.Context) error {
		if pid := table.PID(name); pid != 0 {
			return errors.New("still there")
		}
		return nil
	}
	if err := table.Await(t.Context(), 10*time.Second, name+" to end", gone); err != nil {
		t.Fatal(err)
	}
}
