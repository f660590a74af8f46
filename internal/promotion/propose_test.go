package promotion_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// request is a pull request as Gitea has it.
type request struct {
	Number int    `json:"number"`
	Title  string `json:"title"`
	Body   string `json:"body"`
	State  string `json:"state"`
	Merged bool   `json:"merged"`
	Labels []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

// proposing is an environment's repository on a real Gitea.
type proposing struct {
	*giteatest.Server
	t      *testing.T
	name   string
	target promotion.Target
}

func newProposing(t *testing.T, server *giteatest.Server, name string) proposing {
	t.Helper()
	remote, err := git.NewRemote(server.Repository(name, gittest.Files{"Chart.yaml": list("1.0.0")}), git.Access{CredentialsPath: server.Credentials()})
	if err != nil {
		t.Fatal(err)
	}
	return proposing{server, t, name, promotion.Target{Environment: "staging", Remote: remote, Path: "."}}
}

func (p proposing) propose(version string, how promotion.PullRequests) (promotion.Proposed, error) {
	p.t.Helper()
	return promotion.Promotion{
		Application: "web", Chart: edit.Selector{Name: "web"}, Version: version, Changelog: "fix: a [skip ci] thing\nfeat: more",
		Author: git.Signature{Name: "Tester", Email: "tester@example.com"},
	}.Propose(p.t.Context(), p.target, how)
}

func (p proposing) path(rest string) string {
	return "repos/" + giteatest.User + "/" + p.name + "/" + rest
}

func (p proposing) requests() []request {
	var all []request
	p.API(http.MethodGet, p.path("pulls?state=all"), nil, &all)
	return all
}

func (p proposing) mustPropose(version string, how promotion.PullRequests, want promotion.Outcome) promotion.Proposed {
	p.t.Helper()
	done, err := p.propose(version, how)
	if err != nil || done.Outcome != want {
		p.t.Fatalf("%s: %s %v, want %s", version, done.Outcome, err, want)
	}
	return done
}

// TestPropose works against one Gitea: its start is what takes long.
func TestPropose(t *testing.T) {
	server := giteatest.Start(t)
	t.Run("one request for newer versions", func(t *testing.T) { oneRequest(t, newProposing(t, server, "one")) })
	t.Run("merged when ready", func(t *testing.T) { autoMerge(t, newProposing(t, server, "two")) })
	t.Run("base moved", func(t *testing.T) { baseMoved(t, newProposing(t, server, "three")) })
	t.Run("removed", func(t *testing.T) { removal(t, newProposing(t, server, "five")) })
	t.Run("closed by a person", func(t *testing.T) { closedByPerson(t, newProposing(t, server, "four")) })
}

func oneRequest(t *testing.T, p proposing) {
	first := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened)
	again := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened)
	if again.Commit != first.Commit || again.Request.Number != first.Request.Number {
		t.Errorf("again: %+v, first: %+v", again, first)
	}
	newer := p.mustPropose("1.0.2", promotion.PullRequests{}, promotion.Opened)
	older := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Superseded)
	if newer.Request.Number != first.Request.Number || older.Request.URL != first.Request.URL {
		t.Errorf("newer: %+v, older: %+v", newer, older)
	}
	p.mustPropose("1.0.0", promotion.PullRequests{}, promotion.Unchanged)
	p.mustPropose("0.9.0", promotion.PullRequests{}, promotion.Superseded)
	all := p.requests()
	if len(all) != 1 {
		t.Fatalf("requests: %+v", all)
	}
	r := all[0]
	if r.Title != "chore: promote web to version 1.0.2" || !strings.HasPrefix(r.Body, "- fix: a (skip ci) thing\n- feat: more\n") ||
		!strings.Contains(r.Body, "\nLockstep-Version: 1.0.2\nLockstep-Previous: 1.0.0\nLockstep-Environment: staging\n") {
		t.Errorf("request: %q %q", r.Title, r.Body)
	}
	if len(r.Labels) != 2 || r.Labels[0].Name != "dependency/a/web" || r.Labels[1].Name != "env/staging" {
		t.Errorf("labels: %+v", r.Labels)
	}
}

func autoMerge(t *testing.T, p proposing) {
	how := promotion.PullRequests{Merge: true, Wait: time.Minute}
	done := p.mustPropose("1.0.1", how, promotion.Promoted)
	if tip, err := p.target.Remote.Tip(t.Context(), "main"); err != nil || tip.Hash != done.Commit {
		t.Errorf("main is at %s, %v; merged %+v", tip.Hash, err, done)
	}
	p.mustPropose("1.0.1", how, promotion.Unchanged)
	p.mustPropose("1.0.3", how, promotion.Promoted)
	// What is left on the branch of a merged request does not count.
	p.Push(p.target.Remote.URL(), "main", "back", gittest.Files{"Chart.yaml": list("1.0.0")})
	p.mustPropose("1.0.2", how, promotion.Promoted)
}

// baseMoved: somebody changes the neighbouring line on the base meanwhile, which
// Git cannot merge and an intent can.
func baseMoved(t *testing.T, p proposing) {
	p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened)
	other := strings.Replace(list("1.0.0"), "1.0.0", "1.0.0 # ours", 1)
	if other == list("1.0.0") {
		t.Fatal("the chart of the tests looks different")
	}
	p.Push(p.target.Remote.URL(), "main", "a comment", gittest.Files{"Chart.yaml": other})
	done := p.mustPropose("1.0.1", promotion.PullRequests{Merge: true, Wait: time.Minute}, promotion.Promoted)
	if done.Request.Number != p.requests()[0].Number || len(p.requests()) != 1 {
		t.Errorf("requests: %+v", p.requests())
	}
}

// removal: a request that takes the application away is not turned into one of a
// version, and one that would bring it is closed by the wish to have it away.
func removal(t *testing.T, p proposing) {
	remove := promotion.Promotion{
		Application: "web", Chart: edit.Selector{Name: "web"}, Remove: true,
		Author: git.Signature{Name: "Tester", Email: "tester@example.com"},
	}
	done, err := remove.Propose(t.Context(), p.target, promotion.PullRequests{})
	if err != nil || done.Outcome != promotion.Opened {
		t.Fatalf("got %+v, %v", done, err)
	}
	if late := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Superseded); late.Request.Number != done.Request.Number {
		t.Errorf("a version beside the removal: %+v", late)
	}
	if all := p.requests(); len(all) != 1 || all[0].Title != "chore: remove web" || all[0].State != "open" {
		t.Errorf("requests: %+v", all)
	}
	add := remove
	add.Application, add.Chart, add.Version, add.Remove, add.Add = "api", edit.Selector{Name: "api", Repository: "https://a"}, "1.0.0", false, true
	if done, err := add.Propose(t.Context(), p.target, promotion.PullRequests{}); err != nil || done.Outcome != promotion.Opened {
		t.Fatalf("got %+v, %v", done, err)
	}
	remove.Application, remove.Chart = "api", edit.Selector{Name: "api"}
	if done, err := remove.Propose(t.Context(), p.target, promotion.PullRequests{}); err != nil || done.Outcome != promotion.Unchanged {
		t.Errorf("got %+v, %v", done, err)
	}
	for _, r := range p.requests() {
		if open := r.State == "open"; open != (r.Title == "chore: remove web") {
			t.Errorf("%s is %s", r.Title, r.State)
		}
	}
}

func closedByPerson(t *testing.T, p proposing) {
	number := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened).Request.Number
	_, err := p.propose("1.0.1", promotion.PullRequests{Wait: time.Second})
	if f := fault.Of(err); f.Reason != "PullRequestNotMerged" || f.Kind != fault.KindRetryable {
		t.Errorf("nobody merges it: %v", err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		time.Sleep(time.Second)
		p.API(http.MethodPatch, p.path(fmt.Sprintf("pulls/%d", number)), map[string]string{"state": "closed"}, nil)
	}()
	_, err = p.propose("1.0.1", promotion.PullRequests{Wait: time.Minute})
	<-closed
	if f := fault.Of(err); f.Reason != "PullRequestClosed" || f.Kind != fault.KindRefused {
		t.Errorf("closed: %v", err)
	}
	if newer := p.mustPropose("1.0.2", promotion.PullRequests{}, promotion.Opened); newer.Request.Number == number {
		t.Errorf("a newer version took the closed request: %+v", newer)
	}
	p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Superseded)
}
