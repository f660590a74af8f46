package forge_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func login() (user, password string, ok bool, err error) {
	return giteatest.User, giteatest.Password, true, nil
}

func openRepository(t *testing.T, o forge.Options) *forge.Repository {
	t.Helper()
	r, err := forge.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ready waits until Gitea has looked at a request, which it does in the background.
func ready(t *testing.T, r *forge.Repository, number int) forge.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		got, err := r.Get(ctx, number)
		if err != nil {
			t.Fatal(err)
		}
		if got.Ready {
			return got
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestGitea goes through a request's life on a real Gitea.
func TestGitea(t *testing.T) {
	server := giteatest.Start(t)
	url := server.Repository("environment", gittest.Files{"Chart.yaml": "a: 1\n"})
	ctx := t.Context()
	r := openRepository(t, forge.Options{URL: url, Credential: login})
	if r.Kind() != forge.Gitea {
		t.Fatalf("kind %s", r.Kind())
	}
	const branch = "lockstep/staging/user-service"
	commit := server.Push(url, branch, "one", gittest.Files{"Chart.yaml": "a: 2\n"})
	if _, ok, err := r.Find(ctx, branch, "main"); ok || err != nil {
		t.Fatalf("found %v, %v", ok, err)
	}
	p := forge.Proposal{Title: "one", Body: "first", Branch: branch, Base: "main", Labels: []string{"env/staging", "dependency/acme/user-service"}}
	first, err := r.Propose(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	p.Title, p.Body = "two", "second"
	second, err := r.Propose(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(second.Labels)
	if second.Number != first.Number || second.Title != "two" || second.Body != "second" || !slices.Equal(second.Labels, []string{"dependency/acme/user-service", "env/staging"}) {
		t.Fatalf("second: %+v", second)
	}
	if !strings.HasPrefix(second.URL, server.URL) || second.Head != commit || !second.Open {
		t.Fatalf("second: %+v", second)
	}
	checks(t, r, commit, second.Number)
	now := ready(t, r, second.Number)
	if err := r.Merge(ctx, forge.Request{Number: now.Number, URL: now.URL, Head: strings.Repeat("0", 40)}, ""); !errors.Is(err, forge.ErrMerge) {
		t.Fatalf("merged another commit than was read: %v", err)
	}
	if err := r.Merge(ctx, now, forge.Squash); err != nil {
		t.Fatal(err)
	}
	merged, err := r.Get(ctx, now.Number)
	if err != nil || !merged.Merged || merged.Open || len(merged.MergedCommit) != 40 {
		t.Fatalf("merged: %+v, %v", merged, err)
	}
	closing(t, server, r, url)
}

// checks sets a status that failed, which keeps the request from being ready,
// and one that passed.
func checks(t *testing.T, r *forge.Repository, commit string, number int) {
	t.Helper()
	ready(t, r, number)
	s := forge.Status{Context: "lockstep/staging", Text: "not healthy"}
	if err := r.SetStatus(t.Context(), commit, s); err != nil {
		t.Fatal(err)
	}
	got, err := r.Get(t.Context(), number)
	if err != nil || got.Ready || got.Why != "checks: failure" {
		t.Fatalf("with a failed check: %+v, %v", got, err)
	}
	s.Success = true
	if err := r.SetStatus(t.Context(), commit, s); err != nil {
		t.Fatal(err)
	}
}

func closing(t *testing.T, server *giteatest.Server, r *forge.Repository, url string) {
	t.Helper()
	server.Push(url, "lockstep/staging/other", "one", gittest.Files{"Chart.yaml": "a: 3\n"})
	p := forge.Proposal{Title: "other", Branch: "lockstep/staging/other", Base: "main"}
	one, err := r.Propose(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if one, err = r.Get(t.Context(), one.Number); err != nil || one.Open || one.Merged {
		t.Fatalf("closed: %+v, %v", one, err)
	}
	two, err := r.Propose(t.Context(), p)
	if err != nil || two.Number == one.Number {
		t.Fatalf("a closed request is not opened again: %+v, %v", two, err)
	}
	var labels []any
	server.API(http.MethodGet, "repos/"+giteatest.User+"/environment/labels", nil, &labels)
	if len(labels) != 2 {
		t.Fatalf("labels: %v", labels)
	}
}
