package promotion_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/registry"
)

// TestPropose works against one Gitea: its start is what takes long.
func TestPropose(t *testing.T) {
	t.Parallel()
	server := giteatest.Start(t)
	stories := []struct {
		name string
		tell func(*testing.T, proposing)
	}{
		{"one request for newer versions", oneRequest},
		{"merged when ready", autoMerge},
		{"marked as merged later", markedLater},
		{"base moved", baseMoved},
		{"removed", removal},
		{"closed by a person", closedByPerson},
		{"merged by a person", mergedByPerson},
		{"changed by a person", changedByPerson},
		{"overtaken while it waits", overtakenWaiting},
		{"moved while it waits", movedWaiting},
		{"there while it waits", thereWaiting},
		{"by name, and outrun", byNameOutrun},
		{"asked for by name", askedForByName},
		{"row 2: rolled back by a request", rolledBackByRequest},
		{"row 2: held while it waits", heldWaiting},
		{"row 1: another program at the branch", anotherAtBranch},
		{"row 8: down for a moment", downForAMoment},
		{"row 29: not published", notPublished},
		{"long names", longNames},
	}
	for i, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			story.tell(t, newProposing(t, server.For(t), fmt.Sprint("environment-", i)))
		})
	}
}

func oneRequest(t *testing.T, p proposing) {
	first := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened)
	time.Sleep(time.Second) // or the same commit would be made again
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

// markedLater: a busy forge moves the base, and marks the request as merged a while later.
func markedLater(t *testing.T, p proposing) {
	p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened)
	merged, hidden := false, 0
	behind := p.proxied(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/merge") {
			merged = true
		}
		if r.Method != http.MethodGet || !pageOf.MatchString(r.URL.Path) || !merged || hidden == 2 {
			return false
		}
		hidden++
		page := map[string]any{}
		p.API(http.MethodGet, p.path("pulls/"+path.Base(r.URL.Path)), nil, &page)
		page["merged"], page["mergeable"], page["state"] = false, false, "open"
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(page)
		return true
	})
	behind.mustPropose("1.0.1", promotion.PullRequests{Merge: true, Wait: time.Minute}, promotion.Promoted)
	if hidden != 2 {
		t.Errorf("the request was hidden %d times", hidden)
	}
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
	remove := webAt("")
	remove.Remove = true
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

// askedForByName: the older version that somebody wants takes over the request.
func askedForByName(t *testing.T, p proposing) {
	p.mustPropose("1.0.2", promotion.PullRequests{}, promotion.Opened)
	exact := webAt("1.0.1")
	exact.Exact = true
	done, err := exact.Propose(t.Context(), p.target, promotion.PullRequests{})
	if err != nil || done.Outcome != promotion.Opened {
		t.Errorf("asked for by name: %s, %v", done.Outcome, err)
	}
	if all := p.requests(); len(all) != 1 || all[0].Title != "chore: promote web to version 1.0.1" {
		t.Errorf("requests: %+v", all)
	}
}

// rolledBackByRequest: no automatic promotion takes the request of a rollback
// over, and who asks by name does.
func rolledBackByRequest(t *testing.T, p proposing) {
	back := webAt("0.9.0")
	back.Exact, back.ByName, back.Hold = true, true, promotion.NewHold("it loses sessions", back.Author)
	done, err := back.Propose(t.Context(), p.target, promotion.PullRequests{})
	if err != nil || done.Outcome != promotion.Opened {
		t.Fatalf("got %+v, %v", done, err)
	}
	newer := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Waiting)
	if newer.Request.Number != done.Request.Number || !strings.Contains(newer.Held.Reason, "it loses sessions") {
		t.Errorf("got %+v, want it to wait for %+v", newer, done)
	}
	if all := p.requests(); len(all) != 1 || all[0].Title != "chore: promote web to version 0.9.0" || all[0].State != "open" {
		t.Errorf("requests: %+v", all)
	}
	byName := webAt("1.0.1")
	byName.Exact, byName.ByName = true, true
	if done, err := byName.Propose(t.Context(), p.target, promotion.PullRequests{}); err != nil || done.Outcome != promotion.Opened {
		t.Errorf("asked for by name: %+v, %v", done, err)
	}
}

// heldWaiting: a hold that comes while the forge checks a request keeps it from
// being merged automatically.
func heldWaiting(t *testing.T, p proposing) {
	p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened)
	main := p.target.Remote.URL()
	behind := p.meanwhile(func() {
		p.Push(main, "main", "chore: hold web", gittest.Files{heldFile: `{"holds":[{"application":"web","reason":"until Friday"}]}`})
	})
	done := behind.mustPropose("1.0.1", promotion.PullRequests{Merge: true, Wait: time.Minute}, promotion.Waiting)
	if !strings.Contains(done.Held.Reason, "until Friday") || done.Request.URL == "" {
		t.Errorf("got %+v", done)
	}
	if all := p.requests(); len(all) != 1 || all[0].State != "open" {
		t.Errorf("requests: %+v", all)
	}
}

// anotherAtBranch: somebody pushes to the branch between our look at it and our
// push. The push is refused, and the branch is built anew.
func anotherAtBranch(t *testing.T, p proposing) {
	first := true
	behind := p.proxied(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/git-receive-pack") && r.Method == http.MethodPost && first {
			first = false
			p.Push(p.target.Remote.URL(), promotion.BranchFor("staging", "web"), "another", gittest.Files{"other.txt": "another's"})
		}
		return false
	})
	done := behind.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened)
	if first {
		t.Error("nothing was pushed")
	}
	refs, err := p.target.Remote.Refs(t.Context(), "refs/heads/"+promotion.BranchFor("staging", "web"))
	if err != nil || len(refs) != 1 || refs[0].Hash != done.Commit {
		t.Errorf("the branch is at %+v, %v; proposed %s", refs, err, done.Commit)
	}
}

// notPublished: no request for a chart that is not there.
func notPublished(t *testing.T, p proposing) {
	missing := errors.New("not published")
	promote := webAt("1.0.1")
	promote.Published = func(context.Context, registry.ChartRef) error { return missing }
	if done, err := promote.Propose(t.Context(), p.target, promotion.PullRequests{}); !errors.Is(err, missing) {
		t.Errorf("got %s, %v", done.Outcome, err)
	}
	if refs, err := p.target.Remote.Refs(t.Context(), "refs/heads/lockstep/"); err != nil || len(refs) != 0 || len(p.requests()) != 0 {
		t.Errorf("left behind: %+v %v, %+v", refs, err, p.requests())
	}
}

// longNames: forges refuse labels of more than 50 characters.
func longNames(t *testing.T, p proposing) {
	promote := webAt("1.0.1")
	promote.Application = strings.Repeat("web", 20)
	if done, err := promote.Propose(t.Context(), p.target, promotion.PullRequests{}); err != nil || done.Outcome != promotion.Opened {
		t.Fatalf("got %s, %v", done.Outcome, err)
	}
	labels := p.requests()[0].Labels
	if len(labels) != 2 || len(labels[0].Name) != 50 || !strings.HasPrefix(labels[0].Name, "dependency/a/webweb") {
		t.Errorf("labels: %+v", labels)
	}
}
