package promotion_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// TestRow17_EveryRequestMayBeTheLast lets a promotion meet a server that fails,
// hangs or does its work without answering, at its first request, its second
// and so on. After a repetition the promotion is there, exactly once.
func TestRow17_EveryRequestMayBeTheLast(t *testing.T) {
	t.Parallel()
	const most = 20 // far more requests than a promotion needs
	for name, fail := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"fails": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		},
		"drops": func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"hangs": func(_ http.ResponseWriter, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body) // a server hears that the client is gone only behind the body
			<-r.Context().Done()
			return true
		},
		"never tells": nil, // it does its work, and the answer is lost
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reached := true
			for k := int64(1); k <= most && reached; k++ {
				reached = atRequest(t, k, fail)
			}
			if reached {
				t.Errorf("a promotion takes more than %d requests", most)
			}
		})
	}
}

// atRequest promotes against a server whose k-th request fails, and then again.
// It reports whether there was a k-th request.
func atRequest(t *testing.T, k int64, fail func(http.ResponseWriter, *http.Request) bool) bool {
	server := gittest.NewInProcessServer(t)
	repository := server.Create("env", gittest.Files{"Chart.yaml": list("1.0.0")})
	var n atomic.Int64
	at := func(*http.Request) bool { return n.Add(1) == k }
	if fail == nil {
		server.LoseAnswers(1, at)
	} else {
		server.Before(func(w http.ResponseWriter, r *http.Request) bool { return at(r) && fail(w, r) })
	}
	promote := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		remote, err := git.NewRemote(repository.URL, git.Access{RetryFor: time.Millisecond})
		if err != nil {
			return err
		}
		p := promotion.Promotion{
			Application: "web", Chart: edit.Selector{Name: "web"}, Version: "1.0.1", Patience: patience,
			Author: git.Signature{Name: "Tester", Email: "tester@example.com"},
		}
		_, err = p.Into(ctx, promotion.Target{Environment: "staging", Remote: remote, Path: "."})
		return err
	}
	_ = promote(500 * time.Millisecond) // it may fail, or have had another try
	if n.Load() < k {
		return false
	}
	if err := promote(time.Minute); err != nil {
		t.Fatalf("request %d: the repetition: %v", k, err)
	}
	if got := repository.File("main", "Chart.yaml"); !strings.Contains(got, "1.0.1") {
		t.Errorf("request %d: the branch has\n%s", k, got)
	}
	if commits := repository.Git("rev-list", "--count", "main"); commits != "2" {
		t.Errorf("request %d: %s commits, want 2", k, commits)
	}
	return true
}
