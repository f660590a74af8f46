package gittest

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Repository is a bare repository of a Server, worked on with the git program.
type Repository struct {
	Name string
	Dir  string // bare
	URL  string

	t    testing.TB
	work string // a checkout of the host's own
}

// Files are contents by path. A path ending with * makes an executable, one
// ending with @ a symbolic link.
type Files map[string]string

// Create makes a repository with a first commit on main; no files: it stays
// empty. The name may have a folder: "acme/staging".
func (s *Server) Create(name string, files Files) *Repository {
	s.t.Helper()
	r := &Repository{Name: name, Dir: filepath.Join(s.Dir, name+".git"), URL: s.URL + "/" + name + ".git", t: s.t}
	run(s.t, "", "init", "-q", "--bare", "-b", "main", r.Dir)
	r.Git("config", "http.receivepack", "true")
	r.work = filepath.Join(s.t.TempDir(), "work")
	run(s.t, "", "init", "-q", "-b", "main", r.work)
	run(s.t, r.work, "remote", "add", "origin", r.Dir)
	if files != nil {
		r.Commit("first", files)
	}
	return r
}

// Commit adds a commit to main as somebody else would, and returns its hash.
func (r *Repository) Commit(message string, files Files) string {
	r.t.Helper()
	return r.CommitTo("main", message, files)
}

// CommitTo adds a commit to a branch, which starts at main when it is new.
func (r *Repository) CommitTo(branch, message string, files Files) string {
	r.t.Helper()
	run(r.t, r.work, "fetch", "-q", "origin")
	switch {
	case r.exists("refs/heads/" + branch):
		run(r.t, r.work, "checkout", "-q", "-B", branch, "origin/"+branch)
	case r.exists("refs/heads/main"):
		run(r.t, r.work, "checkout", "-q", "-B", branch, "origin/main")
	}
	for path, content := range files {
		r.write(path, content)
	}
	run(r.t, r.work, "add", "-A", "--force")
	run(r.t, r.work, "commit", "-q", "--allow-empty", "-m", message)
	run(r.t, r.work, "push", "-q", "--no-verify", "origin", "HEAD:refs/heads/"+branch)
	return run(r.t, r.work, "rev-parse", "HEAD")
}

func (r *Repository) exists(ref string) bool {
	return exec.Command("git", "-C", r.Dir, "rev-parse", "-q", "--verify", ref).Run() == nil
}

func (r *Repository) write(path, content string) {
	r.t.Helper()
	name := strings.TrimRight(path, "*@")
	at := filepath.Join(r.work, name)
	must(r.t, os.MkdirAll(filepath.Dir(at), 0o755))
	switch {
	case strings.HasSuffix(path, "@"):
		os.Remove(at)
		must(r.t, os.Symlink(content, at))
	case strings.HasSuffix(path, "*"):
		must(r.t, os.WriteFile(at, []byte(content), 0o755))
		must(r.t, os.Chmod(at, 0o755))
	default:
		must(r.t, os.WriteFile(at, []byte(content), 0o644))
	}
}

// Git runs the git program on the bare repository and returns its output
// without the final newline.
func (r *Repository) Git(args ...string) string {
	r.t.Helper()
	return run(r.t, r.Dir, args...)
}

// GitIn runs the git program with text on its standard input.
func (r *Repository) GitIn(input string, args ...string) string {
	r.t.Helper()
	return runIn(r.t, r.Dir, input, args...)
}

// Work is the checkout that Commit works in.
func (r *Repository) Work() string { return r.work }

// Head is the commit of a branch.
func (r *Repository) Head(branch string) string {
	r.t.Helper()
	return r.Git("rev-parse", "refs/heads/"+branch)
}

// File is a file's content on a branch.
func (r *Repository) File(branch, path string) string {
	r.t.Helper()
	out, err := exec.Command("git", "-C", r.Dir, "show", "refs/heads/"+branch+":"+path).Output()
	if err != nil {
		r.t.Fatalf("%s has no %s: %v", branch, path, err)
	}
	return string(out)
}

// Hook installs a server-side hook: "pre-receive", "update", "post-receive".
func (r *Repository) Hook(name, script string) {
	r.t.Helper()
	at := filepath.Join(r.Dir, "hooks", name)
	must(r.t, os.MkdirAll(filepath.Dir(at), 0o755))
	must(r.t, os.WriteFile(at, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// Git runs the git program in a folder, with no configuration but its own.
func Git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return run(t, dir, args...)
}

func run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return runIn(t, dir, "", args...)
}

func runIn(t testing.TB, dir, input string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=file:http:https",
		"GIT_AUTHOR_NAME=Tester", "GIT_AUTHOR_EMAIL=tester@example.com",
		"GIT_COMMITTER_NAME=Tester", "GIT_COMMITTER_EMAIL=tester@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
