package git_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// TestCreateBareMakesARepository: one that the git program takes, and that we can
// push to.
func TestCreateBareMakesARepository(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "acme", "qa.git")
	ok(t, git.CreateBare(dir))
	same(t, gittest.Git(t, dir, "rev-parse", "--is-bare-repository"), "true")
	same(t, gittest.Git(t, dir, "symbolic-ref", "HEAD"), "refs/heads/main")
	for _, url := range []string{dir, "file://" + dir} {
		r := remote(t, url)
		_, err := r.Tip(t.Context(), "")
		is(t, err, git.ErrEmptyRepository)
		at, here := r.Dir()
		same(t, here, true)
		same(t, at, dir)
	}
	commit := pushFirst(t, dir)

	// again: what is in it stays
	ok(t, os.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: refs/heads/other\n"), 0o644))
	ok(t, git.CreateBare(dir))
	same(t, gittest.Git(t, dir, "rev-parse", "main"), string(commit))
	same(t, gittest.Git(t, dir, "symbolic-ref", "HEAD"), "refs/heads/other")
	gittest.Git(t, dir, "fsck", "--strict")
}

func pushFirst(t *testing.T, dir string) git.Hash {
	t.Helper()
	local := git.NewMemory()
	commit, err := local.Commit(git.CommitOptions{Message: "first", Author: someone, Files: []git.File{{Path: "Chart.yaml", Content: []byte("name: qa\n")}}})
	ok(t, err)
	ok(t, remote(t, dir).Push(t.Context(), local, git.Update{Ref: "refs/heads/main", New: commit}))
	return commit
}

// TestRow17_CreateBareGoesOn from whatever an interruption left.
func TestRow17_CreateBareGoesOn(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole.git")
	ok(t, git.CreateBare(whole))
	for _, missing := range []string{"HEAD", "config", "refs", "refs/tags", "objects", "objects/pack"} {
		dir := filepath.Join(t.TempDir(), "half.git")
		ok(t, os.CopyFS(dir, os.DirFS(whole)))
		ok(t, os.RemoveAll(filepath.Join(dir, missing)))
		ok(t, git.CreateBare(dir))
		pushFirst(t, dir)
		gittest.Git(t, dir, "fsck", "--strict")
	}
}

func TestCreateBareSaysWhereItMayNot(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	ok(t, os.WriteFile(file, nil, 0o644))
	if err := git.CreateBare(filepath.Join(file, "qa.git")); err == nil {
		t.Error("a repository below a file")
	}
}

// TestAFolderThatIsNotThere is told from one that holds no repository: there, one can
// be made.
func TestAFolderThatIsNotThere(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.git")
	for _, url := range []string{missing, "file://" + missing} {
		r := remote(t, url)
		_, errTip := r.Tip(t.Context(), "")
		_, errRefs := r.Refs(t.Context(), "refs/heads/")
		for _, err := range []error{errTip, errRefs} {
			is(t, err, git.ErrNotFound)
			same(t, fault.Of(err).Reason, "RepositoryNotFound")
			same(t, fault.Of(err).Kind, fault.KindRefused)
		}
	}
	_, err := remote(t, t.TempDir()).Tip(t.Context(), "")
	same(t, fault.Of(err).Reason, "GitServerError")
	_, here := remote(t, "https://git.example.com/acme/qa.git").Dir()
	same(t, here, false)
}
