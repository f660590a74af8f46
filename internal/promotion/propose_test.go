package promotion_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/registry"
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

func webAt(version string) promotion.Promotion {
	return promotion.Promotion{
		Application: "web", Chart: edit.Selector{Name: "web"}, Version: version, Changelog: "fix: a [skip ci] thing\nfeat: more",
		Author: git.Signature{Name: "Tester", Email: "tester@example.com"},
	}
}

func (p proposing) propose(version string, how promotion.PullRequests) (promotion.Proposed, error) {
	return webAt(version).Propose(p.t.Context(), p.target, how)
}

// meanwhile does something a moment after a program began to wait.
func (p proposing) meanwhile(do func()) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(time.Second)
		do()
	}()
	return func() { <-done }
}

// proxied is the same repository behind a host that may do something else first:
// before reports whether it has answered.
func (p proposing) proxied(before func(w http.ResponseWriter, r *http.Request) bool) proposing {
	p.t.Helper()
	gitea, err := url.Parse(p.Server.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(gitea)
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !before(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	p.t.Cleanup(host.Close)
	dir := p.t.TempDir()
	entry := strings.Replace(host.URL, "://", "://"+giteatest.User+":"+giteatest.Password+"@", 1)
	if err := os.WriteFile(filepath.Join(dir, ".git-credentials"), []byte(entry+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.target.Remote, err = git.NewRemote(host.URL+"/"+giteatest.User+"/"+p.name+".git", git.Access{CredentialsPath: dir})
	if err != nil {
		p.t.Fatal(err)
	}
	return p
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
	t.Run("removed", func(t *testing.T) { removal(t, newProposing(t, server, "removed")) })
	t.Run("closed by a person", func(t *testing.T) { closedByPerson(t, newProposing(t, server, "four")) })
	t.Run("merged by a person", func(t *testing.T) { mergedByPerson(t, newProposing(t, server, "five")) })
	t.Run("changed by a person", func(t *testing.T) { changedByPerson(t, newProposing(t, server, "six")) })
	t.Run("overtaken while it waits", func(t *testing.T) { overtakenWaiting(t, newProposing(t, server, "seven")) })
	t.Run("moved while it waits", func(t *testing.T) { movedWaiting(t, newProposing(t, server, "thirteen")) })
	t.Run("there while it waits", func(t *testing.T) { thereWaiting(t, newProposing(t, server, "fourteen")) })
	t.Run("by name, and outrun", func(t *testing.T) { byNameOutrun(t, newProposing(t, server, "fifteen")) })
	t.Run("asked for by name", func(t *testing.T) { askedForByName(t, newProposing(t, server, "eight")) })
	t.Run("row 1: another program at the branch", func(t *testing.T) { anotherAtBranch(t, newProposing(t, server, "nine")) })
	t.Run("row 8: down for a moment", func(t *testing.T) { downForAMoment(t, newProposing(t, server, "ten")) })
	t.Run("row 29: not published", func(t *testing.T) { notPublished(t, newProposing(t, server, "eleven")) })
	t.Run("long names", func(t *testing.T) { longNames(t, newProposing(t, server, "twelve")) })
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
	wait := p.meanwhile(func() {
		p.API(http.MethodPatch, p.path(fmt.Sprintf("pulls/%d", number)), map[string]string{"state": "closed"}, nil)
	})
	_, err = p.propose("1.0.1", promotion.PullRequests{Wait: time.Minute})
	wait()
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
	wait := p.meanwhile(func() {
		p.API(http.MethodPost, p.path(fmt.Sprintf("pulls/%d/merge", number)), map[string]string{"Do": "merge"}, nil)
	})
	done := p.mustPropose("1.0.1", promotion.PullRequests{Wait: time.Minute}, promotion.Promoted)
	wait()
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
	wait := p.meanwhile(func() {
		p.Push(p.target.Remote.URL(), promotion.BranchFor("staging", "web"), "more", gittest.Files{"other.txt": "a person's"})
	})
	_, err := p.propose("1.0.1", promotion.PullRequests{Merge: true, Wait: time.Minute})
	wait()
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
	wait := p.meanwhile(func() {
		p.Push(p.target.Remote.URL(), "main", "a comment", gittest.Files{"Chart.yaml": strings.Replace(list("1.0.0"), "1.0.0", "1.0.0 # ours", 1)})
	})
	p.mustPropose("1.0.1", promotion.PullRequests{Merge: true, Wait: time.Minute}, promotion.Promoted)
	wait()
	if all := p.requests(); len(all) != 1 || !all[0].Merged {
		t.Errorf("requests: %+v", all)
	}
}

// thereWaiting: somebody else brings the version to the base while we wait.
func thereWaiting(t *testing.T, p proposing) {
	p.held("1.0.1")
	wait := p.meanwhile(func() {
		p.Push(p.target.Remote.URL(), "main", "by hand", gittest.Files{"Chart.yaml": list("1.0.1")})
	})
	done := p.mustPropose("1.0.1", promotion.PullRequests{Merge: true, Wait: time.Minute}, promotion.Unchanged)
	wait()
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
	wait := p.meanwhile(func() {
		p.Push(p.target.Remote.URL(), "main", "by hand", gittest.Files{"Chart.yaml": list("1.0.5")})
	})
	done, err := exact.Propose(t.Context(), p.target, promotion.PullRequests{Merge: true, Wait: time.Minute})
	wait()
	if err != nil || done.Outcome != promotion.Superseded {
		t.Errorf("got %s, %v", done.Outcome, err)
	}
}

func overtakenWaiting(t *testing.T, p proposing) {
	number := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened).Request.Number
	wait := p.meanwhile(func() {
		if newer, err := p.propose("1.0.2", promotion.PullRequests{}); err != nil || newer.Outcome != promotion.Opened {
			t.Errorf("newer: %s, %v", newer.Outcome, err)
		}
	})
	done := p.mustPropose("1.0.1", promotion.PullRequests{Wait: time.Minute}, promotion.Superseded)
	wait()
	if all := p.requests(); done.Request.Number != number || all[0].Title != "chore: promote web to version 1.0.2" {
		t.Errorf("done: %+v, requests: %+v", done, all)
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

// downForAMoment: a forge that is down for longer than one question is repeated
// does not end the wait.
func downForAMoment(t *testing.T, p proposing) {
	number := p.mustPropose("1.0.1", promotion.PullRequests{}, promotion.Opened).Request.Number
	looks := 0
	behind := p.proxied(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, fmt.Sprintf("/pulls/%d", number)) || r.Method != http.MethodGet {
			return false
		}
		looks++
		if looks <= 2 || looks > 8 { // the first two open it
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
