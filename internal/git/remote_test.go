package git_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

var someone = git.Signature{Name: "Some One", Email: "someone@example.com", When: time.Unix(1700000000, 0).UTC()}

// protocols runs a test against hosts with and without protocol version 2.
func protocols(t *testing.T, test func(t *testing.T, s *gittest.Server)) {
	t.Run("v2", func(t *testing.T) { test(t, gittest.NewServer(t)) })
	t.Run("v0", func(t *testing.T) {
		t.Parallel()
		s := gittest.NewServer(t)
		s.OldProtocol()
		test(t, s)
	})
}

func remote(t *testing.T, url string, access ...git.Access) *git.Remote {
	t.Helper()
	access = append(access, git.Access{})
	if access[0].RetryFor == 0 {
		access[0].RetryFor = 5 * time.Second
	}
	r, err := git.NewRemote(url, access[0])
	ok(t, err)
	return r
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want %v", err, target)
	}
}

func same[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestTipFindsWhatAUserNames(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *gittest.Server) {
		repo := s.Create("acme/app", gittest.Files{"a": "1"})
		first := repo.Head("main")
		repo.Git("-c", "user.name=x", "-c", "user.email=x@y", "tag", "-m", "one", "v1", first)
		repo.Git("tag", "light", first)
		second := repo.CommitTo("feature/x", "second", gittest.Files{"a": "2"})
		repo.Git("update-ref", "refs/pull/7/head", second)
		r := remote(t, repo.URL)
		for _, test := range []struct{ ref, name, commit string }{
			{"", "refs/heads/main", first},
			{"main", "refs/heads/main", first},
			{"feature/x", "refs/heads/feature/x", second},
			{"v1", "refs/tags/v1", first},
			{"light", "refs/tags/light", first},
			{"refs/pull/7/head", "refs/pull/7/head", second},
		} {
			tip, err := r.Tip(t.Context(), test.ref)
			ok(t, err)
			same(t, tip.Name, test.name)
			same(t, string(tip.Commit()), test.commit)
		}
		refs, err := r.Refs(t.Context(), "refs/tags/")
		ok(t, err)
		same(t, len(refs), 2)
		same(t, refs[1].Name, "refs/tags/v1")
	})
}

func TestFetchCommitPush(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *gittest.Server) {
		repo := s.Create("app", gittest.Files{"values.yaml": "a: 1\n", "charts/b/c.txt": "c", "run.sh*": "#!/bin/sh\n", "link@": "values.yaml"})
		repo.Commit("second", gittest.Files{"values.yaml": "a: 2\n"})
		r := remote(t, repo.URL)
		mem := git.NewMemory()
		tip, err := r.Tip(t.Context(), "main")
		ok(t, err)
		ok(t, r.Fetch(t.Context(), mem, tip, 1))
		content, err := mem.Read(tip.Hash, "values.yaml")
		ok(t, err)
		same(t, string(content), "a: 2\n")
		_, err = mem.Read(tip.Hash, "link")
		is(t, err, git.ErrSymlink)
		_, err = mem.Read(tip.Hash, "charts")
		is(t, err, git.ErrNotFound)

		commit, err := mem.Commit(git.CommitOptions{Parent: tip.Hash, Message: "third", Author: someone, Files: []git.File{
			{Path: "values.yaml", Content: []byte("a: 3\n")},
			{Path: "charts/b/c.txt", Deleted: true},
			{Path: "new/deep/file", Content: []byte("x")},
			{Path: "run.sh", Content: []byte("#!/bin/sh\ntrue\n")},
		}})
		ok(t, err)
		paths, err := mem.ChangedPaths(tip.Hash, commit)
		ok(t, err)
		if want := []string{"charts/b/c.txt", "new/deep/file", "run.sh", "values.yaml"}; !slices.Equal(paths, want) {
			t.Fatalf("got %v, want %v", paths, want)
		}
		ok(t, r.Push(t.Context(), mem, git.Update{Ref: "refs/heads/main", Old: tip.Hash, New: commit}))
		same(t, repo.Head("main"), string(commit))
		same(t, repo.File("main", "values.yaml"), "a: 3\n")
		same(t, repo.Git("ls-tree", "-r", "--format=%(objectmode) %(path)", "main"),
			"120000 link\n100644 new/deep/file\n100755 run.sh\n100644 values.yaml")
		repo.Git("fsck", "--strict")

		same(t, repo.Git("log", "-1", "--format=%an %ae %cn %ad", "--date=unix"), "Some One someone@example.com Some One 1700000000")
	})
}

func TestPushSendsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1", "b/c": "2", "b/d/e": "3"})
	repo.Hook("pre-receive", `ls "$GIT_OBJECT_DIRECTORY"/?? "$GIT_OBJECT_DIRECTORY"/pack 2>/dev/null | grep -c '^[0-9a-f]\{38\}$' >"$GIT_DIR/count"; exit 0`)
	r := remote(t, repo.URL)
	mem := git.NewMemory()
	tip, err := r.Tip(t.Context(), "main")
	ok(t, err)
	ok(t, r.Fetch(t.Context(), mem, tip, 1))
	commit, err := mem.Commit(git.CommitOptions{Parent: tip.Hash, Message: "x", Author: someone,
		Files: []git.File{{Path: "b/c", Content: []byte("new")}}})
	ok(t, err)
	ok(t, r.Push(t.Context(), mem, git.Update{Ref: "refs/heads/main", Old: tip.Hash, New: commit}))
	same(t, repo.Git("cat-file", "-p", "main:b/c"), "new")
	count, err := os.ReadFile(filepath.Join(repo.Dir, "count"))
	ok(t, err)
	same(t, string(count), "4\n") // commit, root, b, blob
}

func TestCommitWithoutAChangeIsItsParent(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	r, mem := remote(t, repo.URL), git.NewMemory()
	tip, err := r.Tip(t.Context(), "")
	ok(t, err)
	ok(t, r.Fetch(t.Context(), mem, tip, 1))
	commit, err := mem.Commit(git.CommitOptions{Parent: tip.Hash, Message: "x", Author: someone, Files: []git.File{{Path: "a", Content: []byte("1")}}})
	ok(t, err)
	same(t, commit, tip.Hash)
}

func TestAnExactCommitIsFetchedFromAnyServer(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *gittest.Server) {
		repo := s.Create("app", gittest.Files{"a": "1"})
		first := repo.Head("main")
		for range 3 {
			repo.Commit("more", gittest.Files{"a": "2"})
		}
		mem := git.NewMemory()
		ok(t, remote(t, repo.URL).Fetch(t.Context(), mem, git.Ref{Hash: git.Hash(first)}, 1))
		content, err := mem.Read(git.Hash(first), "a")
		ok(t, err)
		same(t, string(content), "1")
		err = remote(t, repo.URL).Fetch(t.Context(), mem, git.Ref{Hash: "1234567890123456789012345678901234567890"}, 1)
		is(t, err, git.ErrNotFound)
	})
}

func TestHistoryDeepensAndTellsWhereItIsCut(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *gittest.Server) {
		repo := s.Create("app", gittest.Files{"a": "0"})
		first := git.Hash(repo.Head("main"))
		for _, n := range []string{"1", "2", "3", "4"} {
			repo.Commit(n, gittest.Files{"a": n})
		}
		r, mem := remote(t, repo.URL), git.NewMemory()
		tip, err := r.Tip(t.Context(), "main")
		ok(t, err)
		ok(t, r.Fetch(t.Context(), mem, tip, 2))
		answer, err := mem.Ancestor(first, tip.Hash)
		ok(t, err)
		same(t, answer, git.Unknown)
		ok(t, r.Fetch(t.Context(), mem, tip, 0))
		answer, err = mem.Ancestor(first, tip.Hash)
		ok(t, err)
		same(t, answer, git.Yes)
		answer, err = mem.Ancestor(tip.Hash, first)
		ok(t, err)
		same(t, answer, git.No)
		// A newer tip comes without what is here.
		repo.Commit("5", gittest.Files{"a": "5"})
		tip, err = r.Tip(t.Context(), "main")
		ok(t, err)
		ok(t, r.Fetch(t.Context(), mem, tip, 0))
		n := 0
		ok(t, mem.Log(tip.Hash, func(git.CommitInfo) bool { n++; return true }))
		same(t, n, 6)
	})
}

func TestACancelledContextEndsACall(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	s.Before(gittest.Status(-1, 503, gittest.Any))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := remote(t, repo.URL, git.Access{RetryFor: time.Hour}).Tip(ctx, "main")
	is(t, err, context.DeadlineExceeded)
	if time.Since(start) > 5*time.Second {
		t.Fatal("the deadline of the context did not count")
	}
}

// TestRow43_TheDefaultBranchBehindManyOthers: of a thousand branches and more
// not all are kept to find the one that HEAD points to.
func TestRow43_TheDefaultBranchBehindManyOthers(t *testing.T) {
	t.Parallel()
	server := gittest.NewServer(t)
	repository := server.Create("many", gittest.Files{"f": "x"})
	var refs strings.Builder
	main := repository.Head("main")
	for i := range 1200 {
		fmt.Fprintf(&refs, "create refs/heads/a-%04d %s\n", i, main)
	}
	repository.GitIn(refs.String(), "update-ref", "--stdin")
	remote, err := git.NewRemote(repository.URL, git.Access{})
	if err != nil {
		t.Fatal(err)
	}
	opening, err := remote.Open(t.Context(), "", "refs/lockstep/")
	if err != nil {
		t.Fatal(err)
	}
	defer opening.Close()
	want := git.Ref{Name: "refs/heads/main", Hash: git.Hash(main)}
	if got := opening.Tip(); got != want {
		t.Errorf("the tip is %v, want %v", got, want)
	}
	if kept := opening.Refs("refs/heads/"); len(kept) > 1 {
		t.Errorf("%d branches were kept", len(kept))
	}
}
