package git_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func TestNotesAreReadByTheGitProgramAndBack(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	commit := git.Hash(repo.Head("main"))
	r := remote(t, repo.URL)
	notes, err := r.ReadNotes(t.Context(), commit)
	ok(t, err)
	same(t, len(notes), 0)
	ok(t, r.AppendNote(t.Context(), commit, `{"state":"deployed"}`, someone))
	ok(t, r.AppendNote(t.Context(), commit, `{"state":"verified"}`, someone))
	ok(t, r.AppendNote(t.Context(), commit, `{"state":"verified"}`, someone)) // again: nothing to do
	want := "{\"state\":\"deployed\"}\n{\"state\":\"verified\"}"
	same(t, repo.Git("log", "-1", "--notes=lockstep", "--format=%N"), want+"\n")
	same(t, repo.Git("rev-list", "--count", "refs/notes/lockstep"), "2")

	// A note that the git program wrote elsewhere in its tree.
	repo.Git("-c", "user.name=x", "-c", "user.email=x@y", "notes", "--ref=lockstep", "append", "-m", "by hand", "main")
	notes, err = r.ReadNotes(t.Context(), commit, git.Hash(strings.Repeat("1", 40)))
	ok(t, err)
	same(t, len(notes), 1)
	if !strings.HasSuffix(notes[commit], "by hand") {
		t.Fatalf("got %q", notes[commit])
	}
}

func TestNotesOfManyAtOnceAllArrive(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	commit := git.Hash(repo.Head("main"))
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			if err := remote(t, repo.URL).AppendNote(t.Context(), commit, fmt.Sprintf("line %d", n), someone); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	notes, err := remote(t, repo.URL).ReadNotes(t.Context(), commit)
	ok(t, err)
	same(t, len(strings.Split(notes[commit], "\n")), 8)
}
