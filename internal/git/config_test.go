package git_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// TestACheckoutIsOrdinaryWhateverItsBranchIsCalled: # and ; begin a comment in
// .git/config, and quotes mean something.
func TestACheckoutIsOrdinaryWhateverItsBranchIsCalled(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	for _, branch := range []string{"feature/#123-login", "fix/a;b", "x#", `q"uote`, "a]b", "ä/\xff"} {
		repo.Git("update-ref", "refs/heads/"+branch, "refs/heads/main")
		for _, depth := range []int{0, 1} {
			dir := t.TempDir()
			r := clone(t, repo.URL, git.CloneOptions{Dir: dir, Revision: branch, Depth: depth})
			got, _, err := r.Head()
			ok(t, err)
			same(t, got, branch)
			same(t, gittest.Git(t, dir, "rev-parse", "--symbolic-full-name", "@{upstream}"), "refs/remotes/origin/"+branch)
			gittest.Git(t, dir, "fetch", "-q")
			clean(t, dir)
			again, err := git.Open(dir)
			ok(t, err)
			same(t, again.RemoteURL(), repo.URL)
		}
	}
}

func TestACheckoutIsOrdinaryWhateverItsURLIs(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	for _, name := range []string{"a#b", "a;b", `a"b`, `a\b`, "ends\\", "a]b"} {
		at := filepath.Join(t.TempDir(), name)
		ok(t, os.CopyFS(at, os.DirFS(repo.Dir)))
		dir := t.TempDir()
		r := clone(t, at, git.CloneOptions{Dir: dir})
		same(t, r.RemoteURL(), at)
		same(t, gittest.Git(t, dir, "config", "remote.origin.url"), at)
		gittest.Git(t, dir, "fetch", "-q")
		clean(t, dir)
	}
}

// TestWhatGitWroteIsRead: old headers, keys behind a header, valueless keys.
func TestWhatGitWroteIsRead(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	dir := t.TempDir()
	clone(t, repo.URL, git.CloneOptions{Dir: dir})
	write(t, filepath.Join(dir, ".git", "config"), "[core] repositoryformatversion = 0\n\tbare = false\n[branch.main]\n\tremote = origin\n"+
		"[alias]\n\tx = \"!f() { true; }; f\" ; y\n[pull]\n\trebase\n[remote \"o\\rigin\"]\n\turl = \""+repo.URL+"\" # here\n")
	r, err := git.Open(dir)
	ok(t, err)
	same(t, r.RemoteURL(), repo.URL)
	write(t, filepath.Join(dir, ".git", "config"), "[core\n")
	if _, err := git.Open(dir); err == nil {
		t.Fatal("a file that git does not read was read")
	}
}
