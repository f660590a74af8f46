package version_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/git/version"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reserve does what a build on a machine of its own does.
func reserve(t *testing.T, url string, commit git.Hash) (version.Number, error) {
	r, err := git.NewRemote(url, git.Access{RetryFor: time.Minute})
	if err != nil {
		return version.Number{}, err
	}
	repo := git.NewMemory()
	if err := r.Fetch(t.Context(), repo, git.Ref{Hash: commit}, 1); err != nil {
		return version.Number{}, err
	}
	return version.Reserve(t.Context(), r, repo, commit, version.Options{Prefix: "v", Bump: "patch"})
}

func TestBuildsAtOnceGetDifferentNumbersAndRepeatsTheirOwn(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "0"})
	const commits = 4
	var hashes []git.Hash
	for n := range commits {
		hashes = append(hashes, git.Hash(repo.Commit(fmt.Sprint(n), gittest.Files{"a": fmt.Sprint(n + 1)})))
	}
	// Each commit is built twice at once, as after a webhook that came twice.
	numbers := make([]string, 2*commits)
	var all sync.WaitGroup
	for i := range numbers {
		all.Go(func() {
			n, err := reserve(t, repo.URL, hashes[i/2])
			if err != nil {
				t.Error(err)
			}
			numbers[i] = n.Tag
		})
	}
	all.Wait()
	var distinct []string
	for i := 0; i < len(numbers); i += 2 {
		if numbers[i] != numbers[i+1] {
			t.Errorf("one commit has two numbers: %s, %s", numbers[i], numbers[i+1])
		}
		distinct = append(distinct, numbers[i])
	}
	slices.Sort(distinct)
	if !slices.Equal(distinct, []string{"v0.0.1", "v0.0.2", "v0.0.3", "v0.0.4"}) {
		t.Errorf("got %v", distinct)
	}
}

func TestAReservationWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "0"})
	s.LoseAnswers(1, gittest.IsPush)
	n, err := reserve(t, repo.URL, git.Hash(repo.Head("main")))
	ok(t, err)
	if n.Tag != "v0.0.1" {
		t.Errorf("got %s", n.Tag)
	}
}

// TestALaterCommitHasTheHigherNumber: of builds that were started at once, the
// one of the last commit may come first.
func TestALaterCommitHasTheHigherNumber(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "0"})
	first, err := reserve(t, repo.URL, git.Hash(repo.Head("main")))
	ok(t, err)
	var hashes []git.Hash
	for _, content := range []string{"1", "2", "3"} {
		hashes = append(hashes, git.Hash(repo.Commit(content, gittest.Files{"a": content})))
	}
	got := map[int]string{}
	for _, i := range []int{2, 0, 1} {
		n, err := reserveWithHistory(t, repo.URL, hashes[i])
		ok(t, err)
		got[i] = n.Tag
	}
	if first.Tag != "v0.0.1" || got[0] != "v0.0.2" || got[1] != "v0.0.3" || got[2] != "v0.0.4" {
		t.Errorf("numbers %s, then %v: not in the order of the commits", first.Tag, got)
	}
}

// TestBuildsAtOnceKeepTheOrderOfCommits: each numbers the others as well.
func TestBuildsAtOnceKeepTheOrderOfCommits(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "0"})
	_, err := reserve(t, repo.URL, git.Hash(repo.Head("main")))
	ok(t, err)
	tags := make([]string, 6)
	hashes := make([]git.Hash, len(tags))
	for i := range tags {
		hashes[i] = git.Hash(repo.Commit(fmt.Sprint(i), gittest.Files{"a": fmt.Sprint("n", i)}))
	}
	var all sync.WaitGroup
	for i := range tags {
		all.Go(func() {
			n, err := reserveWithHistory(t, repo.URL, hashes[i])
			if err != nil {
				t.Error(err)
			}
			tags[i] = n.Tag
		})
	}
	all.Wait()
	if want := []string{"v0.0.2", "v0.0.3", "v0.0.4", "v0.0.5", "v0.0.6", "v0.0.7"}; !slices.Equal(tags, want) {
		t.Errorf("got %v, want %v", tags, want)
	}
}

// TestOldCommitsGetNoNumbers: a repository whose history was never numbered
// starts with its newest commit.
func TestOldCommitsGetNoNumbers(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "0"})
	repo.Commit("1", gittest.Files{"a": "1"})
	n, err := reserveWithHistory(t, repo.URL, git.Hash(repo.Commit("2", gittest.Files{"a": "2"})))
	ok(t, err)
	if n.Tag != "v0.0.1" {
		t.Errorf("got %s", n.Tag)
	}
}

func reserveWithHistory(t *testing.T, url string, commit git.Hash) (version.Number, error) {
	r, err := git.NewRemote(url, git.Access{RetryFor: time.Minute})
	if err != nil {
		return version.Number{}, err
	}
	repo := git.NewMemory()
	if err := r.Fetch(t.Context(), repo, git.Ref{Hash: commit}, 20); err != nil {
		return version.Number{}, err
	}
	return version.Reserve(t.Context(), r, repo, commit, version.Options{Prefix: "v", Bump: "patch"})
}
