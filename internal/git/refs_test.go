package git_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// TestRow63_OldRefsAreNotInTheWay: refs are files, so that topic and topic/x
// exclude each other.
func TestRow63_OldRefsAreNotInTheWay(t *testing.T) {
	s := gittest.NewServer(t)
	for _, test := range []struct{ name, kind, old, new string }{
		{"a branch below an old one", "heads", "topic", "topic/x"},
		{"a branch above old ones", "heads", "topic/x/y", "topic"},
		{"a tag below an old one", "tags", "v1", "v1/x"},
		{"a tag above an old one", "tags", "v1/x", "v1"},
	} {
		for _, packed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, packed %t", test.name, packed), func(t *testing.T) {
				repo := s.Create(fmt.Sprintf("%s-%s-%t", test.kind, path.Base(test.old), packed), gittest.Files{"a": "1"})
				repo.Git("update-ref", "refs/"+test.kind+"/"+test.old, "refs/heads/main")
				dir := t.TempDir()
				clone(t, repo.URL, git.CloneOptions{Dir: dir, Revision: test.old})
				for _, log := range []string{"refs/heads/" + test.old, "refs/remotes/origin/" + test.old} {
					ok(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, ".git", "logs", log)), 0o755))
					write(t, filepath.Join(dir, ".git", "logs", log), "")
				}
				if packed {
					gittest.Git(t, dir, "pack-refs", "--all")
				}
				repo.Git("update-ref", "-d", "refs/"+test.kind+"/"+test.old)
				repo.Git("update-ref", "refs/"+test.kind+"/"+test.new, "refs/heads/main")
				r := clone(t, repo.URL, git.CloneOptions{Dir: dir, Revision: test.new})
				branch, commit, err := r.Head()
				ok(t, err)
				same(t, string(commit), repo.Head("main"))
				same(t, branch == test.new, test.kind == "heads")
				clean(t, dir)
				gittest.Git(t, dir, "rev-parse", "--verify", "-q", "refs/"+test.kind+"/"+test.new)
				repo.CommitTo("main", "more", gittest.Files{"a": "2"})
				repo.Git("update-ref", "refs/"+test.kind+"/"+test.new, "refs/heads/main")
				gittest.Git(t, dir, "fetch", "-q", "--force", "origin", "+refs/"+test.kind+"/*:refs/"+map[string]string{"heads": "remotes/origin", "tags": "tags"}[test.kind]+"/*")
			})
		}
	}
}

func TestRow63_ARefThatWasLeftHalfWritten(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	dir := t.TempDir()
	clone(t, repo.URL, git.CloneOptions{Dir: dir})
	for _, file := range []string{"HEAD", "refs/remotes/origin/main.lock", "refs/remotes/origin/main", "refs/heads/main"} {
		write(t, filepath.Join(dir, ".git", file), "")
	}
	repo.Commit("more", gittest.Files{"a": "2"})
	clone(t, repo.URL, git.CloneOptions{Dir: dir})
	same(t, gittest.Git(t, dir, "rev-parse", "HEAD"), repo.Head("main"))
	clean(t, dir)
}

// TestRow63_ARefspecFindsNoRefOfBefore: the revision is looked for in what came,
// not in what an earlier clone has left.
func TestRow63_ARefspecFindsNoRefOfBefore(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	dir := t.TempDir()
	clone(t, repo.URL, git.CloneOptions{Dir: dir, Revision: "main"})
	want := repo.Commit("more", gittest.Files{"a": "2"})
	for _, revision := range []string{"main", "refs/heads/main"} {
		r := clone(t, repo.URL, git.CloneOptions{Dir: dir, Refspec: "+refs/heads/*:refs/remotes/origin/*", Revision: revision})
		_, commit, err := r.Head()
		ok(t, err)
		same(t, string(commit), want)
	}
	repo.Git("update-ref", "refs/heads/gone", want)
	clone(t, repo.URL, git.CloneOptions{Dir: dir, Refspec: "+refs/heads/*:refs/remotes/origin/*", Revision: "gone"})
	repo.Git("update-ref", "-d", "refs/heads/gone")
	_, err := git.Clone(t.Context(), remote(t, repo.URL), git.CloneOptions{Dir: dir, Refspec: "+refs/heads/*:refs/remotes/origin/*", Revision: "gone"})
	is(t, err, git.ErrNotFound)
}

func TestARefspecWhoseRefsExcludeEachOther(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	repo.Git("update-ref", "refs/heads/other", "refs/heads/main")
	for _, spec := range []string{"main:refs/x/a other:refs/x/a/b/c", "main:refs/x/a/b/c other:refs/x/a"} {
		_, err := git.Clone(t.Context(), remote(t, repo.URL), git.CloneOptions{Dir: t.TempDir(), Refspec: spec})
		reason(t, err, fault.KindUsage, "InvalidRevision")
	}
}
