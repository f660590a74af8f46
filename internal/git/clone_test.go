package git_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

var sample = gittest.Files{
	"README.md": "hello\n", "bin/run*": "#!/bin/sh\n", "charts/app/values.yaml": "a: 1\n",
	"link@": "README.md", "dangling@": "nowhere", "dir/link@": "../charts", ".gitignore": "*.tmp\n/build/\n!keep.tmp\n",
}

func clone(t *testing.T, url string, o git.CloneOptions) *git.Repository {
	t.Helper()
	r, err := git.Clone(t.Context(), remote(t, url), o)
	ok(t, err)
	return r
}

// clean holds a checkout against the real git program.
func clean(t *testing.T, dir string) {
	t.Helper()
	same(t, gittest.Git(t, dir, "status", "--porcelain"), "")
	gittest.Git(t, dir, "fsck", "--strict")
}

func TestCloneLeavesAnOrdinaryRepository(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *gittest.Server) {
		repo := s.Create("app", sample)
		repo.Commit("second", gittest.Files{"README.md": "hello again\n"})
		for _, depth := range []int{0, 1} {
			dir := filepath.Join(t.TempDir(), "a", "b")
			r := clone(t, repo.URL, git.CloneOptions{Dir: dir, Depth: depth})
			branch, commit, err := r.Head()
			ok(t, err)
			same(t, branch, "main")
			same(t, string(commit), repo.Head("main"))
			same(t, r.RemoteURL(), repo.URL)
			clean(t, dir)
			same(t, gittest.Git(t, dir, "status", "-sb"), "## main...origin/main")
			same(t, gittest.Git(t, dir, "diff-files"), "") // the index knows the files' state
			want := "2"
			if depth == 1 {
				want = "1"
			}
			same(t, gittest.Git(t, dir, "rev-list", "--count", "HEAD"), want)
			gittest.Git(t, dir, "pull", "-q")
			gittest.Git(t, dir, "commit", "--allow-empty", "-qm", "by hand")
			gittest.Git(t, dir, "push", "-q", "origin", "HEAD:refs/heads/by-hand")
			repo.Git("update-ref", "-d", "refs/heads/by-hand")
		}
	})
}

func TestCloneOfTagsAndCommitsIsDetached(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", sample)
	first := repo.Head("main")
	repo.Git("-c", "user.name=x", "-c", "user.email=x@y", "tag", "-m", "one", "v1")
	repo.Commit("second", gittest.Files{"README.md": "2"})
	for _, revision := range []string{"v1", "refs/tags/v1", first, strings.ToUpper(first)} {
		dir := t.TempDir()
		r := clone(t, repo.URL, git.CloneOptions{Dir: dir, Revision: revision, Depth: 1})
		branch, commit, err := r.Head()
		ok(t, err)
		same(t, branch, "")
		same(t, string(commit), first)
		clean(t, dir)
	}
}

func TestCloneAgainOnTheSameFolder(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", sample)
	dir := t.TempDir()
	for _, again := range []bool{true, true, false, false} {
		repo.Commit("more", gittest.Files{"README.md": "x" + repo.Head("main")})
		ok(t, os.WriteFile(filepath.Join(dir, "left.over"), nil, 0o644))
		clone(t, repo.URL, git.CloneOptions{Dir: dir, Depth: 1, DeleteExisting: again})
		_, err := os.Stat(filepath.Join(dir, "left.over"))
		same(t, err == nil, !again)
		os.Remove(filepath.Join(dir, "left.over"))
		clean(t, dir)
		same(t, gittest.Git(t, dir, "rev-parse", "HEAD"), repo.Head("main"))
	}
}

func TestAFailedCloneLeavesNothing(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", sample)
	top := t.TempDir()
	for _, dir := range []string{filepath.Join(top, "new"), top} {
		_, err := git.Clone(t.Context(), remote(t, repo.URL), git.CloneOptions{Dir: dir, Revision: "absent"})
		is(t, err, git.ErrNotFound)
		_, err = git.Clone(t.Context(), remote(t, repo.URL), git.CloneOptions{Dir: dir, Revision: strings.Repeat("1", 40)})
		is(t, err, git.ErrNotFound)
		list, err := os.ReadDir(top)
		ok(t, err)
		same(t, len(list), 0)
	}
}

func TestChangesAreWhatGitStatusShows(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", sample)
	dir := t.TempDir()
	r := clone(t, repo.URL, git.CloneOptions{Dir: dir})
	write := func(path, content string) {
		ok(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755))
		ok(t, os.WriteFile(filepath.Join(dir, path), []byte(content), 0o644))
	}
	files, err := r.Changes()
	ok(t, err)
	same(t, len(files), 0)

	write("README.md", "HELLO\n") // same size
	write("new/file", "new")
	write("new/x.tmp", "ignored")
	write("new/keep.tmp", "kept")
	write("build/out", "ignored")
	write("charts/build/out", "not at the root")
	ok(t, os.Remove(filepath.Join(dir, "charts/app/values.yaml")))
	ok(t, os.Chmod(filepath.Join(dir, "bin/run"), 0o644))
	ok(t, os.Remove(filepath.Join(dir, "link")))
	ok(t, os.Symlink("elsewhere", filepath.Join(dir, "link")))
	gittest.Git(t, dir, "init", "-q", "inner")
	ok(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0))

	files, err = r.Changes()
	ok(t, err)
	var got []string
	for _, f := range files {
		kind := "M"
		if f.Deleted {
			kind = "D"
		}
		got = append(got, kind+" "+f.Path)
	}
	same(t, strings.Join(got, "\n"), strings.Join([]string{"M README.md", "M bin/run", "D charts/app/values.yaml", "M charts/build/out",
		"M link", "M new/file", "M new/keep.tmp"}, "\n"))
	_, head, err := r.Head()
	ok(t, err)
	commit, err := r.Commit(git.CommitOptions{Parent: head, Files: files, Message: "m", Author: someone})
	ok(t, err)
	ok(t, remote(t, repo.URL).Push(t.Context(), r, git.Update{Ref: "refs/heads/main", Old: head, New: commit}))
	ok(t, r.Reset("main", commit))
	os.RemoveAll(filepath.Join(dir, "inner"))
	os.Remove(filepath.Join(dir, "lost+found"))
	clean(t, dir)
	files, err = r.Changes()
	ok(t, err)
	same(t, len(files), 0)
}

func TestResetMovesOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", sample)
	dir := t.TempDir()
	r := clone(t, repo.URL, git.CloneOptions{Dir: dir, Depth: 1})
	repo.Git("update-ref", "refs/keep/first", "main")
	repo.Remove("no charts", "charts", "link")
	repo.Commit("second", gittest.Files{"README.md": "2\n", "link/now/a/folder": "x", "charts@": "link"})
	ok(t, os.WriteFile(filepath.Join(dir, "bin/run"), []byte("mine"), 0o755))
	rem := remote(t, repo.URL)
	tip, err := rem.Tip(t.Context(), "main")
	ok(t, err)
	ok(t, rem.Fetch(t.Context(), r, tip, 1))
	ok(t, r.Reset("main", tip.Hash))
	same(t, gittest.Git(t, dir, "status", "--porcelain"), " M bin/run")
	content, err := os.ReadFile(filepath.Join(dir, "charts/now/a/folder"))
	ok(t, err)
	same(t, string(content), "x")
}
