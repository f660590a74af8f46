package git_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	ok(t, os.WriteFile(path, []byte(content), 0o600))
}

func noSecretBelow(t *testing.T, dir, secret string) {
	t.Helper()
	ok(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), secret) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	}))
}

// entry is a line of a tree that git mktree would refuse.
type entry struct{ mode, name, hash string }

// rawTree makes a tree of any form and a branch with it.
func rawTree(repo *gittest.Repository, branch string, entries ...entry) {
	var raw strings.Builder
	for _, e := range entries {
		raw.WriteString(e.mode + " " + e.name + "\x00")
		for i := 0; i < 40; i += 2 {
			raw.WriteByte(unhex(e.hash[i])<<4 | unhex(e.hash[i+1]))
		}
	}
	tree := repo.GitIn(raw.String(), "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
	commit := repo.GitIn("", "-c", "user.name=x", "-c", "user.email=x@y", "commit-tree", "-m", "evil", tree)
	repo.Git("update-ref", "refs/heads/"+branch, commit)
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func TestRow39_TreesThatGitFsckRefuses(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	blob := repo.GitIn("#!/bin/sh\ntouch /tmp/owned\n", "hash-object", "-w", "--stdin")
	link := repo.GitIn(".git", "hash-object", "-w", "--stdin")
	inner := repo.GitIn("100755 blob "+blob+"\tpost-checkout\n", "mktree")
	hooks := repo.GitIn("040000 tree "+inner+"\thooks\n", "mktree")
	evil := map[string][]entry{
		"dot-git":      {{"40000", ".git", hooks}},
		"upper":        {{"40000", ".GIT", hooks}},
		"mixed":        {{"40000", ".gIt", hooks}},
		"short":        {{"40000", "git~1", hooks}},
		"trailing-dot": {{"40000", ".git.", hooks}},
		"space":        {{"40000", ".git ", hooks}},
		"stream":       {{"40000", ".git::$INDEX_ALLOCATION", hooks}},
		"hfs":          {{"40000", ".g\u200cit", hooks}},
		"dotdot":       {{"40000", "..", hooks}},
		"dot":          {{"40000", ".", hooks}},
		"slash":        {{"100644", "a/../../x", blob}},
		"absolute":     {{"100644", "/tmp/x", blob}},
		"twice":        {{"120000", "s", link}, {"40000", "s", hooks}},
		"twice-apart":  {{"120000", "s", link}, {"100644", "s.x", blob}, {"40000", "s", hooks}},
		"file-git":     {{"100644", ".git", blob}},
		"link-git":     {{"120000", ".git", link}},
		"modules-link": {{"120000", ".gitmodules", link}},
	}
	for name, entries := range evil {
		t.Run(name, func(t *testing.T) {
			rawTree(repo, name, entries...)
			dir := t.TempDir()
			r := remote(t, repo.URL)
			_, err := git.Clone(t.Context(), r, git.CloneOptions{Dir: dir, Revision: name, Depth: 1})
			is(t, err, git.ErrUnsafeTree)
			list, err := os.ReadDir(dir)
			ok(t, err)
			same(t, len(list), 0)
			// Nor onto a checkout that is there.
			r2 := clone(t, repo.URL, git.CloneOptions{Dir: dir, Depth: 1})
			tip, err := r.Tip(t.Context(), name)
			ok(t, err)
			ok(t, r.Fetch(t.Context(), r2, tip, 1))
			is(t, r2.Reset("main", tip.Hash), git.ErrUnsafeTree)
			same(t, gittest.Git(t, dir, "status", "--porcelain"), "")
			same(t, gittest.Git(t, dir, "rev-parse", "HEAD"), repo.Head("main"))
		})
	}
}

func TestRow36_NothingIsWrittenThroughALink(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"Chart.lock@": "../outside/file", "charts@": "/", "up@": "../outside", "ok": "1"})
	top := t.TempDir()
	outside := filepath.Join(top, "outside")
	ok(t, os.Mkdir(outside, 0o755))
	write(t, filepath.Join(outside, "file"), "untouched")
	dir := filepath.Join(top, "checkout")
	r := clone(t, repo.URL, git.CloneOptions{Dir: dir, Depth: 1})
	_, head, err := r.Head()
	ok(t, err)

	// Committing onto or through a link is refused, reading too.
	for _, path := range []string{"Chart.lock", "charts/x", "up/file", "up/new/deep"} {
		_, err := r.Commit(git.CommitOptions{Parent: head, Message: "m", Author: someone, Files: []git.File{{Path: path, Content: []byte("owned")}}})
		is(t, err, git.ErrSymlink)
		_, err = r.Read(head, path)
		is(t, err, git.ErrSymlink)
	}
	for _, path := range []string{"../outside/file", "/etc/passwd", "a/../../b", ".git/config", "a//b", ""} {
		_, err := r.Commit(git.CommitOptions{Parent: head, Message: "m", Author: someone, Files: []git.File{{Path: path, Content: []byte("owned")}}})
		is(t, err, git.ErrInvalid)
	}
	// A file where the link was replaces the link, not what it points to.
	commit, err := r.Commit(git.CommitOptions{Parent: head, Message: "m", Author: someone, Files: []git.File{{Path: "Chart.lock", Content: []byte("new"), Mode: git.Regular}}})
	ok(t, err)
	ok(t, r.Reset("main", commit))
	clean(t, dir)

	// A tree that has a folder where the worktree has somebody's link.
	repo.Commit("deep", gittest.Files{"deep/file": "theirs"})
	ok(t, os.Symlink("../outside", filepath.Join(dir, "deep")))
	rem := remote(t, repo.URL)
	tip, err := rem.Tip(t.Context(), "main")
	ok(t, err)
	ok(t, rem.Fetch(t.Context(), r, tip, 1))
	is(t, r.Reset("main", tip.Hash), git.ErrSymlink)

	// Cleaning a folder deletes links, not their targets.
	clone(t, repo.URL, git.CloneOptions{Dir: dir, Depth: 1, DeleteExisting: true})
	clone(t, repo.URL, git.CloneOptions{Dir: filepath.Join(top, "checkout"), Depth: 1})
	content, err := os.ReadFile(filepath.Join(outside, "file"))
	ok(t, err)
	same(t, string(content), "untouched")
	list, err := os.ReadDir(outside)
	ok(t, err)
	same(t, len(list), 1)

	// A subdirectory that leads out by a link.
	ok(t, os.Symlink(outside, filepath.Join(top, "leads-out")))
	if _, err := git.Clone(t.Context(), rem, git.CloneOptions{Dir: top, Subdirectory: "leads-out/x", DeleteExisting: true}); err == nil {
		t.Fatal("cloned through a link")
	}
	list, err = os.ReadDir(outside)
	ok(t, err)
	same(t, len(list), 1)
}
