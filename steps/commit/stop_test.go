package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// stall holds one request of the host until it is released.
type stall struct {
	reached, release chan struct{}
	once             sync.Once
}

func newStall(t *testing.T) *stall {
	s := &stall{reached: make(chan struct{}), release: make(chan struct{})}
	t.Cleanup(s.end)
	return s
}

func (s *stall) end() { s.once.Do(func() { close(s.release) }) }

// before holds the k-th request that is not done yet.
func (s *stall) before(k int) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	seen := 0
	return func(http.ResponseWriter, *http.Request) bool {
		mu.Lock()
		seen++
		now := seen
		mu.Unlock()
		if now == k {
			close(s.reached)
			<-s.release
		}
		return false
	}
}

// behind holds the first push after the server did its work.
func (s *stall) behind(r *http.Request) bool {
	if !gittest.IsPush(r) {
		return false
	}
	close(s.reached)
	<-s.release
	return true
}

// TestRow16_StoppedAnywhere and its sibling below stop commit at every
// request it makes, and once after the server took the push; a second run must
// end as if nothing had happened.
func TestRow16_StoppedAnywhere(t *testing.T) {
	stopEverywhere(t, syscall.SIGTERM, 143)
}

// TestRow17_KilledAnywhere: the same with SIGKILL.
func TestRow17_KilledAnywhere(t *testing.T) {
	stopEverywhere(t, syscall.SIGKILL, -1)
}

func stopEverywhere(t *testing.T, signal syscall.Signal, code int) {
	programs := build(t, "commit")
	// Without a race: the refs, then the push. With one: the refs, the tip's
	// capabilities, its place, its objects, the refs again, the push.
	for k := 1; k <= 6; k++ {
		stopAt(t, programs, signal, code, func(h *gittest.Server, s *stall) { h.Before(s.before(k)) })
	}
	stopAt(t, programs, signal, code, func(h *gittest.Server, s *stall) { h.LoseAnswers(1, s.behind) })
}

func stopAt(t *testing.T, programs string, signal syscall.Signal, code int, hold func(*gittest.Server, *stall)) {
	t.Helper()
	server, s := gittest.NewServer(t), newStall(t)
	repository := server.Create("env", environment)
	checkout := filepath.Join(t.TempDir(), "env")
	gittest.Git(t, "", "clone", "-q", "--depth", "1", repository.URL, checkout)
	if err := noteBump(checkout, "user-service", "2.3.119", false); err != nil {
		t.Fatal(err)
	}
	repository.Commit("faster", gittest.Files{"other": "x"})
	hold(server, s)

	cmd := command(programs, checkout)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.reached:
	case <-time.After(time.Minute):
		t.Fatal("the request never came")
	}
	stopped := time.Now()
	cmd.Process.Signal(signal)
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code || time.Since(stopped) > 10*time.Second {
		t.Errorf("exit code %d after %v, want %d\n%s", got, time.Since(stopped), code, cmd.Stderr)
	}
	s.end()

	again := command(programs, checkout)
	if err := again.Run(); err != nil {
		t.Fatalf("the second run: %v\n%s", err, again.Stderr)
	}
	if got := repository.Git("rev-list", "--count", "main"); got != "3" {
		t.Errorf("%s commits, want 3", got)
	}
	if !strings.Contains(repository.File("main", "requirements.yaml"), "version: 2.3.119 # users") {
		t.Error("the branch does not have the new version")
	}
	if left := gittest.Git(t, checkout, "status", "--porcelain"); left != "" {
		t.Errorf("the checkout is not clean: %s", left)
	}
}

func command(programs, checkout string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(programs, "commit"), "--source", checkout)
	cmd.Env = []string{"HOME=" + filepath.Dir(checkout), "TMPDIR=" + filepath.Dir(checkout), "PATH=" + os.Getenv("PATH")}
	cmd.Stderr = &bytes.Buffer{}
	return cmd
}
