package promotion_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// servers are hosts of different make. Those that are git http-backend behind a
// filter say so, and the one in-process stands in for them in tests that ask a
// host thousands of times.
var servers = map[string]func(testing.TB) *gittest.Server{
	"git":            gittest.NewServer,
	"git, version 0": func(t testing.TB) *gittest.Server { s := gittest.NewServer(t); s.OldProtocol(); return s },
	"go-git":         gittest.NewGoGitServer,
	"JGit":           jgit,
	"multi_ack":      gittest.NewMultiAckServer,
	"picky":          gittest.NewPickyServer,
	"in-process":     gittest.NewInProcessServer,
}

// jgit is on the machines of CI, which installs it.
func jgit(t testing.TB) *gittest.Server {
	if !gittest.HasJGit() && os.Getenv("CI") == "" {
		t.Skip("JGit is not on this machine: apt-get install default-jre-headless libjgit-java")
	}
	return gittest.NewJGitServer(t)
}

// TestEveryServer does on each host what programs do there.
func TestEveryServer(t *testing.T) {
	t.Parallel()
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			for does, operation := range map[string]func(*testing.T, *rush){
				"promote alone":      promoteAlone,
				"promote, overtaken": promoteOvertaken,
				"many promote":       manyPromote,
				"clone":              cloneShallow,
				"commit":             commitTwice,
				"notes":              notesOfMany,
				"refuse":             refuse,
			} {
				t.Run(does, func(t *testing.T) { operation(t, rushOn(server, strings.ReplaceAll(does, " ", ""))) })
			}
		})
	}
}

func promoteAlone(t *testing.T, r *rush) {
	r.check(t, atOnce(t, 1, func(i int) (promotion.Landed, error) { return r.promote(t.Context(), i) }))
	landed, err := r.promote(t.Context(), 0)
	if err != nil || landed.Outcome != promotion.Unchanged {
		t.Errorf("again: %+v, %v", landed, err)
	}
}

// promoteOvertaken lets somebody else push while the promotion's push is on its
// way.
func promoteOvertaken(t *testing.T, r *rush) {
	var once sync.Once
	r.server.Before(func(_ http.ResponseWriter, request *http.Request) bool {
		if gittest.IsPush(request) && strings.Contains(request.URL.Path, r.repository.Name) {
			once.Do(func() { r.repository.Commit("theirs", gittest.Files{"theirs": "x"}) })
		}
		return false
	})
	r.check(t, atOnce(t, 1, func(i int) (promotion.Landed, error) { return r.promote(t.Context(), i) }))
	if got := r.repository.File("main", "theirs"); got != "x" {
		t.Errorf("their change is %q", got)
	}
	r.wantNoRequests(t)
}

func manyPromote(t *testing.T, r *rush) {
	r.check(t, atOnce(t, 10, func(i int) (promotion.Landed, error) { return r.promote(t.Context(), i) }))
	r.wantNoRequests(t)
}

func cloneShallow(t *testing.T, r *rush) {
	r.repository.Commit("second", gittest.Files{"deep/file": "2", "run.sh*": "#!/bin/sh\n"})
	r.repository.Git("tag", "-a", "-m", "one", "v1", "main")
	for depth, revisions := range map[int][]string{1: {"", "v1"}, 0: {"main", r.repository.Head("main")}} {
		for _, revision := range revisions {
			dir := filepath.Join(t.TempDir(), "checkout")
			checkout, err := git.Clone(t.Context(), r.remote(t), git.CloneOptions{Dir: dir, Depth: depth, Revision: revision})
			if err != nil {
				t.Fatalf("depth %d of %q: %v", depth, revision, err)
			}
			if _, head, err := checkout.Head(); err != nil || string(head) != r.repository.Head("main") {
				t.Errorf("depth %d of %q: at %s, %v", depth, revision, head, err)
			}
			if content, err := os.ReadFile(filepath.Join(dir, "deep/file")); err != nil || string(content) != "2" {
				t.Errorf("depth %d of %q: %q, %v", depth, revision, content, err)
			}
			gittest.Git(t, dir, "fsck", "--strict")
		}
	}
}

// commitTwice pushes from a shallow repository, the second time on top of what
// came in meanwhile, then moves a tag, makes a ref and deletes it.
func commitTwice(t *testing.T, r *rush) {
	remote, local := r.remote(t), git.NewMemory()
	by := git.Signature{Name: "Tester", Email: "tester@example.com"}
	for _, content := range []string{"1", "2"} {
		r.repository.Commit("theirs", gittest.Files{"theirs": content})
		tip, err := remote.Tip(t.Context(), "main")
		if err == nil {
			err = remote.Fetch(t.Context(), local, tip, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		commit, err := local.Commit(git.CommitOptions{Parent: tip.Hash, Message: "ours", Author: by, Files: []git.File{{Path: "ours", Content: []byte(content)}}})
		if err == nil {
			err = remote.Push(t.Context(), local, git.Update{Ref: "refs/heads/main", Old: tip.Hash, New: commit})
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := r.repository.File("main", "ours") + r.repository.File("main", "theirs"); got != content+content {
			t.Errorf("the branch has %q", got)
		}
	}
	head := git.Hash(r.repository.Head("main"))
	for _, update := range []git.Update{{New: head}, {Old: head}} {
		update.Ref = "refs/lockstep/versions/v1"
		if err := remote.Push(t.Context(), local, update); err != nil {
			t.Fatalf("%+v: %v", update, err)
		}
	}
	if left := r.repository.Git("for-each-ref", "refs/lockstep"); left != "" {
		t.Errorf("left: %s", left)
	}
	r.repository.Git("fsck", "--strict")
}

func notesOfMany(t *testing.T, r *rush) {
	head := git.Hash(r.repository.Head("main"))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			line := fmt.Sprintf(`{"state":"deployed","run":"%d"}`, i)
			if err := r.remote(t).AppendNote(t.Context(), head, line, git.Signature{Name: "T", Email: "t@example.com"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	notes, err := r.remote(t).ReadNotes(t.Context(), head)
	if err != nil || strings.Count(notes[head], "deployed") != 4 {
		t.Errorf("got %q, %v", notes[head], err)
	}
	if seen := r.repository.Git("log", "-1", "--notes=lockstep", "--format=%N"); strings.Count(seen, "deployed") != 4 {
		t.Errorf("the git program reads %q", seen)
	}
}

// refuse asks for what is not there.
func refuse(t *testing.T, r *rush) {
	if _, err := r.remote(t).Tip(t.Context(), "gone"); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a branch that is not there: %v", err)
	}
	err := r.remote(t).Fetch(t.Context(), git.NewMemory(), git.Ref{Hash: "1234567890123456789012345678901234567890"}, 1)
	if err == nil {
		t.Error("a commit that is not there was fetched")
	}
}
