package promotion_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

func closedByPerson(t *testing.T, p proposing) {
	number := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened).Request.Number
	_, err := p.propose("1.0.1", promotion.PullRequests{Wait: time.Second})
	if f := fault.Of(err); f.Reason != "PullRequestNotMerged" || f.Kind != fault.KindRetryable {
		t.Errorf("nobody merges it: %v", err)
	}
	behind := p.meanwhile(func() {
		p.API(http.MethodPatch, p.path(fmt.Sprintf("pulls/%d", number)), map[string]string{"state": "closed"}, nil)
	})
	_, err = behind.propose("1.0.1", promotion.PullRequests{Wait: time.Minute})
	if f := fault.Of(err); f.Reason != "PullRequestClosed" || f.Kind != fault.KindRefused {
		t.Errorf("closed: %v", err)
	}
	if newer := p.mustPropose("1.0.2", promotion.PullRequests{}, promotion.Opened); newer.Request.Number == number {
		t.Errorf("a newer version took the closed request: %+v", newer)
	}
	p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Superseded)
}

func mergedByPerson(t *testing.T, p proposing) {
	number := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened).Request.Number
	behind := p.meanwhile(func() {
		p.API(http.MethodPost, p.path(fmt.Sprintf("pulls/%d/merge", number)), map[string]string{"Do": "merge"}, nil)
	})
	done := behind.mustPropose("1.0.1", promotion.PullRequests{Wait: time.Minute}, promotion.Promoted)
	if tip, err := p.target.Remote.Tip(t.Context(), "main"); err != nil || tip.Hash != done.Commit || done.Request.Number != number {
		t.Errorf("main is at %s, %v; merged %+v", tip.Hash, err, done)
	}
}

// held is a request that is not merged yet, since a check of its commit failed.
func (p proposing) held(version string) {
	p.t.Helper()
	commit := p.mustPropose(version, promotion.PullRequests{}, promotion.Opened).Commit
	p.API(http.MethodPost, p.path("statuses/"+string(commit)), map[string]string{"state": "failure", "context": "check"}, nil)
}

// changedByPerson: what a person committed to the branch is not merged unseen.
func changedByPerson(t *testing.T, p proposing) {
	p.held("1.0.1")
	behind := p.meanwhile(func() {
		p.Push(p.target.Remote.URL(), promotion.BranchFor("staging", "web"), "more", gittest.Files{"other.txt": "a person's"})
	})
	_, err := behind.propose("1.0.1", promotion.PullRequests{Merge: true, Wait: time.Minute})
	if f := fault.Of(err); f.Reason != "PullRequestChanged" || f.Kind != fault.KindRefused {
		t.Errorf("changed: %v", err)
	}
	if all := p.requests(); all[0].Merged || all[0].State != "open" {
		t.Errorf("requests: %+v", all)
	}
}

// movedWaiting: the branch is built anew on a base that moves while we wait, and
// its new commit has no check that failed.
func movedWaiting(t *testing.T, p proposing) {
	p.held("1.0.1")
	behind := p.meanwhile(func() {
		p.Push(p.target.Remote.URL(), "main", "a comment", gittest.Files{"Chart.yaml": strings.Replace(list("1.0.0"), "1.0.0", "1.0.0 # ours", 1)})
	})
	behind.mustPropose("1.0.1", promotion.PullRequests{Merge: true, Wait: time.Minute}, promotion.Promoted)
	if all := p.requests(); len(all) != 1 || !all[0].Merged {
		t.Errorf("requests: %+v", all)
	}
}

// thereWaiting: somebody else brings the version to the base while we wait.
func thereWaiting(t *testing.T, p proposing) {
	p.held("1.0.1")
	behind := p.meanwhile(func() {
		p.Push(p.target.Remote.URL(), "main", "by hand", gittest.Files{"Chart.yaml": list("1.0.1")})
	})
	done := behind.mustPropose("1.0.1", promotion.PullRequests{Merge: true, Wait: time.Minute}, promotion.Unchanged)
	if tip, err := p.target.Remote.Tip(t.Context(), "main"); err != nil || tip.Hash != done.Commit || p.requests()[0].Merged {
		t.Errorf("main is at %s, %v; done %+v", tip.Hash, err, done)
	}
}

// byNameOutrun: a version that somebody wants by name replaces what stood there
// when it was asked for, and not what came since.
func byNameOutrun(t *testing.T, p proposing) {
	exact := webAt("0.9.0")
	exact.Exact = true
	held, err := exact.Propose(t.Context(), p.target, promotion.PullRequests{})
	if err != nil {
		t.Fatal(err)
	}
	p.API(http.MethodPost, p.path("statuses/"+string(held.Commit)), map[string]string{"state": "failure", "context": "check"}, nil)
	behind := p.meanwhile(func() {
		p.Push(p.target.Remote.URL(), "main", "by hand", gittest.Files{"Chart.yaml": list("1.0.5")})
	})
	done, err := exact.Propose(t.Context(), behind.target, promotion.PullRequests{Merge: true, Wait: time.Minute})
	if err != nil || done.Outcome != promotion.Superseded {
		t.Errorf("got %s, %v", done.Outcome, err)
	}
}

func overtakenWaiting(t *testing.T, p proposing) {
	number := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened).Request.Number
	behind := p.meanwhile(func() {
		if newer, err := p.propose("1.0.2", promotion.PullRequests{}); err != nil || newer.Outcome != promotion.Opened {
			t.Errorf("newer: %s, %v", newer.Outcome, err)
		}
	})
	done := behind.mustPropose("1.0.1", promotion.PullRequests{Wait: time.Minute}, promotion.Superseded)
	if all := p.requests(); done.Request.Number != number || all[0].Title != "chore: promote web to version 1.0.2" {
		t.Errorf("done: %+v, requests: %+v", done, all)
	}
}

// downForAMoment: a forge that is down for longer than one question is repeated
// does not end the wait.
func downForAMoment(t *testing.T, p proposing) {
	p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened)
	looks := 0
	behind := p.proxied(func(w http.ResponseWriter, r *http.Request) bool {
		if !pageOf.MatchString(r.URL.Path) || r.Method != http.MethodGet {
			return false
		}
		looks++
		if looks <= opening || looks > 8 {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	behind.mustPropose("1.0.1", promotion.PullRequests{Merge: true, Wait: time.Minute}, promotion.Promoted)
	if looks <= 8 {
		t.Errorf("the forge was asked %d times", looks)
	}
}
