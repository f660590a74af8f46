package gittest

import (
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Repository is a bare repository of a Server, worked on with the git program.
type Repository struct {
	Name string
	Dir  string // bare
	URL  string

	t testing.TB
}

// Files are contents by path. A path ending with * makes an executable, one
// ending with @ a symbolic link.
type Files map[string]string

// Create makes a repository with a first commit on main; no files: it stays
// empty. The name may have a folder: "acme/staging".
func (s *Server) Create(name string, files Files) *Repository {
	s.t.Helper()
	r := &Repository{Name: name, Dir: filepath.Join(s.Dir, name+".git"), URL: s.URL + "/" + name + ".git", t: s.t}
	for _, folder := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		must(s.t, os.MkdirAll(filepath.Join(r.Dir, folder), 0o755))
	}
	must(s.t, os.WriteFile(filepath.Join(r.Dir, "HEAD"), []byte("ref: refs/heads/main\n"), 0o644))
	must(s.t, os.WriteFile(filepath.Join(r.Dir, "config"), []byte(config), 0o644))
	if files != nil {
		r.Commit("first", files)
	}
	return r
}

// config takes pushes, and leaves out what only costs a test time: housekeeping, and
// waiting for the disk.
const config = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	fsync = none
[gc]
	auto = 0
[maintenance]
	auto = false
[receive]
	autogc = false
[http]
	receivepack = true
`

// Commit adds a commit to main as somebody else would, and returns its hash.
func (r *Repository) Commit(message string, files Files) string {
	r.t.Helper()
	return r.CommitTo("main", message, files)
}

// CommitTo adds a commit to a branch, which starts at main when it is new.
func (r *Repository) CommitTo(branch, message string, files Files) string {
	r.t.Helper()
	return r.change(branch, message, func(all entries) error {
		for path, content := range files {
			if err := all.put(r.store(), path, content); err != nil {
				return err
			}
		}
		return nil
	})
}

// Remove adds a commit to main that takes files and folders away.
func (r *Repository) Remove(message string, paths ...string) {
	r.t.Helper()
	r.change("main", message, func(all entries) error {
		for _, path := range paths {
			all.remove(path)
		}
		return nil
	})
}

// Checkout is a checkout of main.
func (r *Repository) Checkout() string {
	r.t.Helper()
	dir := filepath.Join(r.t.TempDir(), "checkout")
	run(r.t, "", "clone", "-q", "-b", "main", r.Dir, dir)
	return dir
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

// Head is the commit of a branch.
func (r *Repository) Head(branch string) string {
	r.t.Helper()
	ref, err := r.store().Reference(plumbing.NewBranchReferenceName(branch))
	if err != nil {
		r.t.Fatalf("%s has no branch %s: %v", r.Name, branch, err)
	}
	return ref.Hash().String()
}

// File is a file's content on a branch.
func (r *Repository) File(branch, path string) string {
	r.t.Helper()
	all, err := r.store().entries(plumbing.NewHash(r.Head(branch)))
	must(r.t, err)
	blob, err := object.GetBlob(r.store(), all[path].Hash)
	if err != nil {
		r.t.Fatalf("%s has no %s: %v", branch, path, err)
	}
	in, err := blob.Reader()
	must(r.t, err)
	defer in.Close()
	content, err := io.ReadAll(in)
	must(r.t, err)
	return string(content)
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
