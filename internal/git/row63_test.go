package git_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// TestRow63_TheCheckoutIsTheCommit: what an earlier checkout tracked and the
// commit lacks is gone, what was never tracked stays.
func TestRow63_TheCheckoutIsTheCommit(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1", "old": "x", "deep/er/old": "x", "link@": "a", "folder/a": "1", "file": "1", "kept/a": "1", "ignored.tmp": "x"})
	dir := t.TempDir()
	clone(t, repo.URL, git.CloneOptions{Dir: dir})
	write(t, filepath.Join(dir, "untracked"), "mine")
	write(t, filepath.Join(dir, "kept", "untracked"), "mine")
	write(t, filepath.Join(dir, "folder", "untracked"), "in the way of a file")
	write(t, filepath.Join(dir, "staged"), "added by hand")
	gittest.Git(t, dir, "add", "staged")
	ok(t, os.Mkdir(filepath.Join(dir, ".git", "lockstep"), 0o755))
	write(t, filepath.Join(dir, ".git", "lockstep", "intents"), "of the files before")
	write(t, filepath.Join(dir, ".git", "MERGE_HEAD"), repo.Head("main")+"\n")

	repo.Remove("most of it", "old", "deep", "link", "folder", "file", "kept", "ignored.tmp")
	repo.Commit("second", gittest.Files{"link/a": "2", "folder": "now a file", "file/a": "now a folder", ".gitignore": "*.tmp\n"})
	r := clone(t, repo.URL, git.CloneOptions{Dir: dir})
	same(t, gittest.Git(t, dir, "status", "--porcelain", "--ignored"), "?? kept/\n?? untracked")
	gittest.Git(t, dir, "fsck", "--strict")
	files, err := r.Changes()
	ok(t, err)
	same(t, len(files), 2)
	for _, gone := range []string{"staged", "deep", ".git/lockstep/intents", ".git/MERGE_HEAD"} {
		if _, err := os.Lstat(filepath.Join(dir, gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
}

func TestRow63_FilesThatAreLeftOutGo(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a/a": "1", "b/b": "1"})
	dir := t.TempDir()
	clone(t, repo.URL, git.CloneOptions{Dir: dir})
	for _, sparse := range [][]string{{"a/"}, {"b/"}, nil} {
		clone(t, repo.URL, git.CloneOptions{Dir: dir, Sparse: sparse})
		for _, name := range []string{"a", "b"} {
			_, err := os.Lstat(filepath.Join(dir, name))
			same(t, err == nil, sparse == nil || sparse[0] == name+"/")
		}
		clean(t, dir)
	}
}

// TestRow63_AnInterruptedCheckoutIsForgotten: what a checkout wrote before it
// failed is not taken for untracked by the next one.
func TestRow63_AnInterruptedCheckoutIsForgotten(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"z/a": "1"})
	dir := t.TempDir()
	clone(t, repo.URL, git.CloneOptions{Dir: dir, Revision: "main"})
	repo.CommitTo("other", "other", gittest.Files{"added": "x", "zz/a": "1"})
	ok(t, os.Symlink("elsewhere", filepath.Join(dir, "zz"))) // nothing is written through it
	_, err := git.Clone(t.Context(), remote(t, repo.URL), git.CloneOptions{Dir: dir, Revision: "other"})
	is(t, err, git.ErrSymlink)
	clone(t, repo.URL, git.CloneOptions{Dir: dir, Revision: "main"})
	same(t, gittest.Git(t, dir, "status", "--porcelain"), "?? zz")
}

func TestRow63_ASubmoduleThatIsGone(t *testing.T) {
	s := gittest.NewServer(t)
	lib := s.Create("lib", gittest.Files{"l": "1"})
	repo := s.Create("app", gittest.Files{"a": "1"})
	work := repo.Checkout()
	gittest.Git(t, work, "submodule", "add", "-q", lib.URL, "libs/one")
	gittest.Git(t, work, "submodule", "add", "-q", lib.URL, "libs/two")
	gittest.Git(t, work, "commit", "-q", "-m", "with submodules")
	gittest.Git(t, work, "push", "-q", "origin", "HEAD:main")
	dir := t.TempDir()
	clone(t, repo.URL, git.CloneOptions{Dir: dir, Submodules: true})
	write(t, filepath.Join(dir, "libs", "two", "untracked"), "mine")
	repo.Remove("no submodules", "libs", ".gitmodules")
	repo.Commit("a folder for a submodule", gittest.Files{"libs/one/file": "1"})
	r := clone(t, repo.URL, git.CloneOptions{Dir: dir, Submodules: true})
	same(t, gittest.Git(t, dir, "status", "--porcelain"), "?? libs/two/")
	files, err := r.Changes()
	ok(t, err)
	same(t, len(files), 1)
	same(t, files[0].Path, "libs/two/untracked")
}

// TestAFailedCloneKeepsWhatItDidNotMake: a checkout whose .git is a file belongs
// to another repository.
func TestAFailedCloneKeepsWhatItDidNotMake(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".git"), "gitdir: elsewhere\n")
	if _, err := git.Clone(t.Context(), remote(t, repo.URL), git.CloneOptions{Dir: dir}); err == nil {
		t.Fatal("cloned over a checkout of another repository")
	}
	if _, err := os.Lstat(filepath.Join(dir, ".git")); err != nil {
		t.Fatal(err)
	}
}
