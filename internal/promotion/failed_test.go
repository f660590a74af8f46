package promotion_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

const goesBack = header + `- {name: staging, repository: "%s/staging.git", namespace: staging, promotion: Auto, rollback: Auto}` + "\n"

// recorded says what became of the tip; revision 0: nothing was applied, and so nothing
// found unhealthy.
func recorded(t *testing.T, r *gittest.Repository, state environment.State, revision int, web string) {
	t.Helper()
	commits, err := strconv.Atoi(r.Git("rev-list", "--count", "main"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(time.Duration(commits)*time.Second - time.Hour) // records count in whole seconds
	line, err := environment.Record{
		State: state, Environment: "staging", Commit: r.Head("main"), Run: "staging-lockstep/run", Revision: revision,
		Started: now, Finished: now, Applications: []environment.Application{{Name: "web", Version: web}}, Reason: "CrashLoopBackOff", Unhealthy: state == environment.Failed && revision > 0,
	}.Line(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Git("notes", "--ref=lockstep", "append", "-m", line, "main")
}

// TestRow26_GoesBackByItself: where the environment asks for it, a deployment that
// failed brings back what was verified, and the version that failed does not come again
// by itself; a newer one does.
func TestRow26_GoesBackByItself(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0"), "values.yaml": "a: 1\n"})
	recorded(t, repository, environment.Verified, 1, "1.0.0")
	failed := repository.Commit("chore: promote web", gittest.Files{"Chart.yaml": list("1.0.1"), "values.yaml": "a: 2\n"})
	recorded(t, repository, environment.Failed, 2, "1.0.1")
	e, known := everywhere(t, server, goesBack)
	back := func() []promotion.Result {
		t.Helper()
		results, err := e.RollBackFailed(t.Context(), known.Environments[0])
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	dry := e
	dry.DryRun = true
	if results, err := dry.RollBackFailed(t.Context(), known.Environments[0]); err != nil || len(results) != 1 || results[0].Diff == "" || repository.Head("main") != failed {
		t.Errorf("a dry run: %+v, %v", results, err)
	}
	results := back()
	if len(results) != 1 || results[0].Outcome != promotion.RolledBack || results[0].Version != "1.0.0" || results[0].Err != nil {
		t.Fatalf("got %+v", results)
	}
	show := func(file string) string { return repository.Git("show", "main:"+file) }
	if show("Chart.yaml")+"\n" != list("1.0.0") || show("values.yaml") != "a: 1" {
		t.Errorf("it has\n%s\n%s", show("Chart.yaml"), show("values.yaml"))
	}
	held := show(heldFile)
	if !strings.Contains(held, `"version": "1.0.1"`) || strings.Count(held, `"application"`) != 1 || !strings.Contains(held, "CrashLoopBackOff in run staging-lockstep/run") {
		t.Errorf("held is %s", held)
	}
	tip := repository.Head("main")
	if results := back(); len(results) > 0 || repository.Head("main") != tip {
		t.Errorf("once more: %+v", results)
	}

	// What failed does not come again, what is newer does.
	if r := e.Promote(t.Context(), known.Auto())[0]; r.Outcome != promotion.Waiting {
		t.Errorf("1.0.1: %+v, want it to wait", r)
	}
	e.Version = "1.0.2"
	if r := e.Promote(t.Context(), known.Auto())[0]; r.Outcome != promotion.Promoted {
		t.Errorf("1.0.2: %+v, want it promoted", r)
	}
}

// TestRow26_ARollbackThatFailsStays: it would go round in circles.
func TestRow26_ARollbackThatFailsStays(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	repository := server.Create("staging", gittest.Files{"Chart.yaml": list("0.9.0")})
	recorded(t, repository, environment.Verified, 1, "0.9.0")
	repository.Commit("feat: web", gittest.Files{"Chart.yaml": list("1.0.0")})
	recorded(t, repository, environment.Verified, 2, "1.0.0")
	repository.Commit("feat: web", gittest.Files{"Chart.yaml": list("1.0.1")})
	recorded(t, repository, environment.Failed, 3, "1.0.1")
	e, known := everywhere(t, server, goesBack)
	if results, err := e.RollBackFailed(t.Context(), known.Environments[0]); err != nil || len(results) != 1 || results[0].Version != "1.0.0" {
		t.Fatalf("got %+v, %v", results, err)
	}
	tip := repository.Head("main")
	recorded(t, repository, environment.Failed, 4, "1.0.0")
	results, err := e.RollBackFailed(t.Context(), known.Environments[0])
	if err != nil || promotion.Err(results) != nil || repository.Head("main") != tip {
		t.Errorf("it goes on: %+v, %v", results, err)
	}
}

// TestRow26_StaysAsItIs: everything that is no reason to go back.
func TestRow26_StaysAsItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file     string
		before   environment.State // of the commit before
		state    environment.State
		revision int
		moved    bool
	}{
		"nobody asks for it":        {strings.ReplaceAll(goesBack, ", rollback: Auto", ""), environment.Verified, environment.Failed, 2, false},
		"somebody decides":          {strings.ReplaceAll(goesBack, "rollback: Auto", "rollback: Manual"), environment.Verified, environment.Failed, 2, false},
		"it was verified":           {goesBack, environment.Verified, environment.Verified, 2, false},
		"nothing was applied":       {goesBack, environment.Verified, environment.Failed, 0, false},
		"the branch has moved on":   {goesBack, environment.Verified, environment.Failed, 2, true},
		"nothing was ever verified": {goesBack, environment.Failed, environment.Failed, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := gittest.NewInProcessServer(t)
			repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0")})
			recorded(t, repository, c.before, 1, "1.0.0")
			repository.Commit("feat: web", gittest.Files{"Chart.yaml": list("1.0.1")})
			recorded(t, repository, c.state, c.revision, "1.0.1")
			if c.moved {
				repository.Commit("fix: web", gittest.Files{"Chart.yaml": list("1.0.2")})
			}
			tip := repository.Head("main")
			e, known := everywhere(t, server, c.file)
			results, err := e.RollBackFailed(t.Context(), known.Environments[0])
			if err != nil || len(results) > 0 || repository.Head("main") != tip {
				t.Errorf("got %+v, %v", results, err)
			}
		})
	}
}

// TestRow26_WhatPeopleDecidedStays: what is held does not move by itself, and what was
// rejected does not come back.
func TestRow26_WhatPeopleDecidedStays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		holds string
		stays bool
	}{
		"it is held":                     {`{"application":"web"}`, true},
		"all are held":                   {`{}`, true},
		"what would come was rejected":   {`{"application":"web","version":"1.0.0"}`, true},
		"another version was rejected":   {`{"application":"web","version":"0.9.0"}`, false},
		"another application is held":    {`{"application":"api"}`, false},
		"another one's version rejected": {`{"application":"api","version":"1.0.0"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := gittest.NewInProcessServer(t)
			repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0")})
			recorded(t, repository, environment.Verified, 1, "1.0.0")
			repository.Commit("feat: web", gittest.Files{"Chart.yaml": list("1.0.1"), heldFile: `{"holds":[` + c.holds + `]}`})
			recorded(t, repository, environment.Failed, 2, "1.0.1")
			tip := repository.Head("main")
			e, known := everywhere(t, server, goesBack)
			results, err := e.RollBackFailed(t.Context(), known.Environments[0])
			if err != nil || promotion.Err(results) != nil || (repository.Head("main") == tip) != c.stays {
				t.Errorf("got %+v, %v", results, err)
			}
		})
	}
}

// TestRow26_WhatWasVerifiedStays: a run that finds it unhealthy later found something
// else, and so did one of a commit that changes nothing that is deployed.
func TestRow26_WhatWasVerifiedStays(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]bool{"the same commit": false, "a hold on top": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := gittest.NewInProcessServer(t)
			repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0")})
			recorded(t, repository, environment.Verified, 1, "1.0.0")
			repository.Commit("feat: web", gittest.Files{"Chart.yaml": list("1.0.1")})
			recorded(t, repository, environment.Verified, 2, "1.0.1")
			if hold {
				repository.Commit("chore: hold api", gittest.Files{heldFile: `{"holds":[{"application":"api"}]}`})
			}
			recorded(t, repository, environment.Failed, 3, "1.0.1")
			tip := repository.Head("main")
			e, known := everywhere(t, server, goesBack)
			results, err := e.RollBackFailed(t.Context(), known.Environments[0])
			if err != nil || len(results) > 0 || repository.Head("main") != tip {
				t.Errorf("got %+v, %v", results, err)
			}
		})
	}
}

// TestRow26_BesideAnother: commits of another environment in the same repository are
// none of this one's.
func TestRow26_BesideAnother(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	at := func(web string) gittest.Files { return gittest.Files{"staging/Chart.yaml": list(web)} }
	repository := server.Create("both", at("0.9.0"))
	recorded(t, repository, environment.Verified, 1, "0.9.0")
	repository.Commit("feat: web", at("1.0.0"))
	recorded(t, repository, environment.Verified, 2, "1.0.0")
	repository.Commit("feat: web", at("1.0.1"))
	recorded(t, repository, environment.Failed, 3, "1.0.1")
	e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/both.git", path: staging, namespace: staging, promotion: Auto, rollback: Auto}`+"\n")
	back := func() ([]promotion.Result, error) {
		return e.RollBackFailed(t.Context(), known.Environments[0])
	}
	if results, err := back(); err != nil || len(results) != 1 || results[0].Version != "1.0.0" {
		t.Fatalf("got %+v, %v", results, err)
	}
	repository.Commit("chore: promote web to version 1.0.0\n\nLockstep-Operation: promote\nLockstep-Environment: production\nLockstep-Application: web", gittest.Files{"production/Chart.yaml": list("1.0.0")})
	recorded(t, repository, environment.Failed, 4, "1.0.0")
	tip := repository.Head("main")
	if results, err := back(); err != nil || promotion.Err(results) != nil || repository.Head("main") != tip {
		t.Errorf("it goes on: %+v, %v", results, err)
	}
}

// TestRow26_AFixMeanwhile: what comes while it goes back is not taken back unseen.
func TestRow26_AFixMeanwhile(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0")})
	recorded(t, repository, environment.Verified, 1, "1.0.0")
	repository.Commit("feat: web", gittest.Files{"Chart.yaml": list("1.0.1")})
	recorded(t, repository, environment.Failed, 2, "1.0.1")
	var once sync.Once
	server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if gittest.IsPush(r) {
			once.Do(func() { repository.Commit("fix: web", gittest.Files{"Chart.yaml": list("1.0.2")}) })
		}
		return false
	})
	e, known := everywhere(t, server, goesBack)
	results, err := e.RollBackFailed(t.Context(), known.Environments[0])
	if err != nil || len(results) != 1 || results[0].Outcome != promotion.Unchanged {
		t.Errorf("got %+v, %v", results, err)
	}
	if got := repository.Git("show", "main:Chart.yaml"); !strings.Contains(got, "1.0.2") {
		t.Errorf("the fix is gone:\n%s", got)
	}
}
