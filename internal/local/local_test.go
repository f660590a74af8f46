package local_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/local"
)

// running is a server of a folder in this process.
type running struct {
	*local.Server
	url  string
	stop func()
}

// serve starts a server; it stops with the test, or before it by stop.
func serve(t *testing.T, dir string, receive local.Receiver) *running {
	t.Helper()
	s, err := local.Open(dir, local.Options{Receive: receive})
	if err != nil {
		t.Fatal(err)
	}
	l, err := local.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	r := &running{Server: s, url: "http://" + l.Addr().String(), stop: stop}
	until(t, "the server to answer", func() bool {
		resp, err := http.Get(r.url + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return r
}

// until waits for a condition, at most half a minute.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (r *running) create(t *testing.T, name string, hooks ...local.Webhook) string {
	t.Helper()
	if err := r.Create(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := r.SetWebhooks(name, hooks...); err != nil {
		t.Fatal(err)
	}
	return r.url + "/git/" + name + ".git"
}

func (r *running) status(t *testing.T) local.Status {
	t.Helper()
	resp, err := http.Get(r.url + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var status local.Status
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	return status
}

// git runs the real git program and wants it to succeed.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := tryGit(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func tryGit(t *testing.T, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// checkout is a working copy with one commit that was not pushed yet.
func checkout(t *testing.T, url string) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "remote", "add", "origin", url)
	write(t, dir, "README.md", "hello\n")
	return dir
}

// write changes a file and commits it.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "feat: "+name)
	return git(t, dir, "rev-parse", "HEAD")
}

// mailbox keeps the webhooks that it is given.
type mailbox struct {
	mu    sync.Mutex
	calls []local.Call
}

func (m *mailbox) receive(_ context.Context, c local.Call) (any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, c)
	return map[string]bool{"taken": true}, nil
}

func (m *mailbox) all() []local.Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]local.Call(nil), m.calls...)
}

// await returns the first n webhooks.
func (m *mailbox) await(t *testing.T, n int) []local.Call {
	t.Helper()
	until(t, "webhooks", func() bool { return len(m.all()) >= n })
	return m.all()
}

type event struct {
	Ref, Before, After       string
	Created, Deleted, Forced bool
	HeadCommit               *struct {
		ID, Message string
		Author      struct{ Name, Email string }
		Added       []string
		Modified    []string
	} `json:"head_commit"`
	Commits    []struct{ ID string }
	Repository struct {
		Name, FullName, CloneURL, HTMLURL, DefaultBranch string
	}
	Pusher struct{ Name, Email string }
	Sender struct{ Login string }
}

func parse(t *testing.T, c local.Call) event {
	t.Helper()
	var e event
	if err := json.Unmarshal(c.Body, &e); err != nil {
		t.Fatal(err)
	}
	var names struct {
		Repository struct {
			FullName      string `json:"full_name"`
			CloneURL      string `json:"clone_url"`
			HTMLURL       string `json:"html_url"`
			DefaultBranch string `json:"default_branch"`
		}
	}
	if err := json.Unmarshal(c.Body, &names); err != nil {
		t.Fatal(err)
	}
	e.Repository.FullName, e.Repository.CloneURL = names.Repository.FullName, names.Repository.CloneURL
	e.Repository.HTMLURL, e.Repository.DefaultBranch = names.Repository.HTMLURL, names.Repository.DefaultBranch
	return e
}

func signature(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
