//go:build e2e

// Package e2e drives the pipelines on the real cluster of test/cluster: real
// webhooks of a real Gitea start real PipelineRuns, whose pods are looked at.
// `make e2e` runs some of it for each change, `make e2e-all` the rest. The tests share one site and run in turn: a cluster on
// two cores has no room for more.
package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/test/site"
)

var shared *site.Site

// further are the environments that tests add to those of the site.
var further = []site.Environment{qa, uat, preproduction, nightly, archive}

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func setUp(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	start := time.Now()
	s, err := site.New("../..", func(format string, args ...any) {
		fmt.Printf("%5.1f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	})
	if err != nil {
		return 0, err
	}
	if err := s.Reset(ctx, append(further, review)...); err != nil {
		return 0, err
	}
	if err := s.Install(ctx); err != nil {
		return 0, err
	}
	for _, e := range s.Environments {
		first, err := s.Settled(ctx, e)
		if err != nil {
			return 0, err
		}
		if !first.Well {
			return 0, fmt.Errorf("the first deployment of %s: %s\n%s", e.Name, first.Why, s.Logs(ctx, first))
		}
	}
	shared = s
	return m.Run(), nil
}

// deadline is far above what a run takes: a test that reaches it hangs.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func clone(t *testing.T, ctx context.Context, repository string) *site.Checkout {
	t.Helper()
	c, err := shared.Clone(ctx, repository, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pushAnswer makes user-service answer a new random token and pushes that.
func pushAnswer(t *testing.T, ctx context.Context, c *site.Checkout) (commit, token string) {
	t.Helper()
	token = rand.Text()
	if err := site.SetAnswer(c, token); err != nil {
		t.Fatal(err)
	}
	commit, err := c.Push(ctx, "feat: answer "+token)
	if err != nil {
		t.Fatal(err)
	}
	return commit, token
}

// finish waits for the run of a commit and wants it to end well or badly.
func finish(t *testing.T, ctx context.Context, namespace, commit string, wantWell bool) site.Run {
	t.Helper()
	r, err := shared.RunOf(ctx, namespace, commit)
	if err != nil {
		t.Fatal(err)
	}
	r, err = shared.Finish(ctx, r, func(s site.Step) {
		if s.Ended {
			t.Logf("%s: %s/%s %.0f s well=%v", r.Name, s.Task, s.Name, s.Took.Seconds(), s.Well)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Well != wantWell {
		t.Fatalf("run %s ended well: %v, want %v: %s\n%s", r.Name, r.Well, wantWell, r.Why, shared.Logs(ctx, r))
	}
	return r
}

// servedToken waits until the service answers with token.
func servedToken(t *testing.T, ctx context.Context, token string) {
	t.Helper()
	if err := site.Until(ctx, "user-service to answer "+token, func(ctx context.Context) (bool, error) {
		got, err := shared.Answer(ctx, shared.Staging(), "user")
		return strings.Contains(got, token), err
	}); err != nil {
		t.Fatal(err)
	}
}

// environmentNote is the deployment record of an environment's commit.
func environmentNote(t *testing.T, ctx context.Context, e site.Environment, commit string) string {
	t.Helper()
	c := clone(t, ctx, e.Repository())
	if _, err := c.Git(ctx, "fetch", "-q", "origin", "refs/notes/lockstep:refs/notes/lockstep"); err != nil {
		t.Fatal(err)
	}
	note, err := c.Git(ctx, "notes", "--ref=lockstep", "show", commit)
	if err != nil {
		t.Fatal(err)
	}
	return note
}

// settle waits until no run of the environment is under way.
func settle(t *testing.T, ctx context.Context) {
	t.Helper()
	tip := environmentTip(t, ctx, shared.Staging())
	if _, err := shared.RunOf(ctx, shared.Staging().RunNamespace(), tip); err != nil {
		t.Fatal(err)
	}
	if _, err := shared.Settled(ctx, shared.Staging()); err != nil {
		t.Fatal(err)
	}
}

func environmentTip(t *testing.T, ctx context.Context, e site.Environment) string {
	t.Helper()
	tip, err := clone(t, ctx, e.Repository()).Git(ctx, "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return tip
}

// nextRun waits for a run beyond the n that are there, and for its good end.
func nextRun(t *testing.T, ctx context.Context, n int) site.Run {
	t.Helper()
	var r site.Run
	if err := site.Until(ctx, "another run", func(ctx context.Context) (bool, error) {
		runs, err := shared.Runs(ctx, shared.Staging().RunNamespace())
		if len(runs) > n {
			r = runs[len(runs)-1]
		}
		return len(runs) > n, err
	}); err != nil {
		t.Fatal(err)
	}
	r, err := shared.Finish(ctx, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Well {
		t.Fatalf("run %s: %s\n%s", r.Name, r.Why, shared.Logs(ctx, r))
	}
	return r
}
