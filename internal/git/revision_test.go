package git_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// logged collects what is logged until the test ends.
func logged(t *testing.T) *bytes.Buffer {
	t.Helper()
	var text bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &text
}

// TestATagStandsInFrontOfABranch: git fetch takes v1 for the tag, and so does
// the catalog's git-clone.
func TestATagStandsInFrontOfABranch(t *testing.T) {
	protocols(t, func(t *testing.T, s *gittest.Server) {
		repo := s.Create("app", gittest.Files{"a": "1"})
		tagged := repo.Head("main")
		repo.Git("tag", "-m", "one", "v1", tagged)
		repo.Git("tag", "heads", tagged)
		onBranch := repo.CommitTo("v1", "second", gittest.Files{"a": "2"})
		for _, test := range []struct {
			revision, commit string
			warned           bool
		}{
			{"v1", tagged, true}, {"refs/tags/v1", tagged, false}, {"tags/v1", tagged, false}, {"refs/heads/v1", onBranch, false},
			{"heads/v1", onBranch, false}, {"main", tagged, false}, {"", tagged, false},
		} {
			text := logged(t)
			r := clone(t, repo.URL, git.CloneOptions{Dir: t.TempDir(), Revision: test.revision, Depth: 1})
			_, commit, err := r.Head()
			ok(t, err)
			if string(commit) != test.commit {
				t.Errorf("%q: got %s, want %s", test.revision, commit, test.commit)
			}
			if warned := strings.Contains(text.String(), "other=refs/heads/v1"); warned != test.warned {
				t.Errorf("%q: warned %t: %s", test.revision, warned, text)
			}
		}
		// Where a branch is meant, the branch is taken.
		rem := remote(t, repo.URL)
		tip, err := rem.Tip(t.Context(), "v1")
		ok(t, err)
		same(t, tip.Name, "refs/heads/v1")
		opening, err := rem.Open(t.Context(), "v1", "refs/lockstep/")
		ok(t, err)
		defer opening.Close()
		same(t, opening.Tip().Name, "refs/heads/v1")
	})
}

// TestAChangeNeverMovesATag: a branch may be asked for whose name only a tag has.
func TestAChangeNeverMovesATag(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	repo.Git("tag", "v1", "main")
	rem := remote(t, repo.URL)
	_, err := rem.Open(t.Context(), "v1", "refs/lockstep/")
	is(t, err, git.ErrNotFound)
	mem, update := onTip(t, rem, "a", "2")
	update.Ref = "refs/tags/v1"
	err = rem.Push(t.Context(), mem, update)
	reason(t, err, fault.KindRefused, "TagExists")
	same(t, repo.Git("rev-parse", "refs/tags/v1"), repo.Head("main"))
}

func TestAWholeHistoryComesWithItsTags(t *testing.T) {
	protocols(t, func(t *testing.T, s *gittest.Server) {
		repo := s.Create("app", gittest.Files{"a": "1"})
		repo.Git("tag", "-m", "one", "v1.0.0", "main")
		repo.Git("tag", "light", "main")
		repo.Git("tag", "-m", "elsewhere", "v2.0.0", repo.CommitTo("other", "other", gittest.Files{"b": "1"}))
		repo.Commit("more", gittest.Files{"a": "2"})
		dir := t.TempDir()
		clone(t, repo.URL, git.CloneOptions{Dir: dir})
		same(t, strings.HasPrefix(gittest.Git(t, dir, "describe"), "v1.0.0-1-g"), true)
		same(t, gittest.Git(t, dir, "tag"), "light\nv1.0.0")
		clean(t, dir)
	})
}
