package promotion_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// everywhere promotes web 1.0.1 by a file of environments, in which %s is the
// Git host.
func everywhere(t *testing.T, server *gittest.Server, file string) (promotion.Everywhere, *environment.Environments) {
	t.Helper()
	known, err := environment.Parse("environments.yaml", []byte(strings.ReplaceAll(file, "%s", server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	return promotion.Everywhere{
		Promotion: promotion.Promotion{
			Application: "web", Chart: edit.Selector{Name: "web"}, Version: "1.0.1",
			Author: git.Signature{Name: "Tester", Email: "tester@example.com"},
		},
		Known: known,
		Open:  func(url string) (*git.Remote, error) { return git.NewRemote(url, git.Access{}) },
	}, known
}

const header = "apiVersion: lockstep.dev/v1alpha1\nkind: Environments\nenvironments:\n"

// TestRow45_WindowsGoByTheHostsClock: what time it is here decides nothing.
func TestRow45_WindowsGoByTheHostsClock(t *testing.T) {
	t.Parallel()
	const file = header + `- {name: staging, repository: "%s/staging.git", namespace: acme, promotion: Auto, windows: [{days: Mon, hours: "09:00-16:00", zone: UTC}]}` + "\n"
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for hour, want := range map[int]promotion.Outcome{10: promotion.Promoted, 17: promotion.Waiting} {
		server := gittest.NewInProcessServer(t)
		server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0")})
		server.Before(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Date", monday.Add(time.Duration(hour)*time.Hour).Format(http.TimeFormat))
			return false
		})
		e, known := everywhere(t, server, file)
		if r := e.Promote(t.Context(), known.Auto())[0]; r.Outcome != want || r.Err != nil {
			t.Errorf("at %d o'clock there: got %+v, want %s", hour, r, want)
		}
	}
}

// TestRecordsAreReadOnce: however many environments are after one.
func TestRecordsAreReadOnce(t *testing.T) {
	t.Parallel()
	asked := func(environments int) int {
		server := gittest.NewInProcessServer(t)
		repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0")})
		repository.Git("notes", "--ref=lockstep", "add", "-m", "no record", "main")
		file := header + `- {name: staging, repository: "%s/staging.git", namespace: staging, promotion: Manual}` + "\n"
		for i := range environments {
			name := fmt.Sprint("later-", i)
			server.Create(name, gittest.Files{"Chart.yaml": list("1.0.0")})
			file += fmt.Sprintf(`- {name: %s, repository: "%%s/%s.git", namespace: %s, promotion: Auto, after: [staging]}`+"\n", name, name, name)
		}
		e, known := everywhere(t, server, file)
		for _, r := range e.Promote(t.Context(), known.Auto()) {
			if r.Outcome != promotion.Waiting {
				t.Errorf("%d environments: got %+v", environments, r)
			}
		}
		return server.Count(func(r gittest.Request) bool { return strings.HasPrefix(r.Path, "/staging.git/") })
	}
	if one, three := asked(1), asked(3); one == 0 || one != three {
		t.Errorf("staging's host was asked %d times for one environment and %d times for three", one, three)
	}
}

// TestRow47_GatesBelieveSignedRecords: where the environment before has a
// recordKey, what anybody else wrote does not open the gate.
func TestRow47_GatesBelieveSignedRecords(t *testing.T) {
	t.Parallel()
	key, public := newKey(t)
	stranger, _ := newKey(t)
	for name, c := range map[string]struct {
		by   *signature.Key
		want promotion.Outcome
	}{"unsigned": {nil, promotion.Waiting}, "by a stranger": {stranger, promotion.Waiting}, "by the key": {key, promotion.Promoted}} {
		server := gittest.NewInProcessServer(t)
		repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.1")})
		server.Create("production", gittest.Files{"Chart.yaml": list("1.0.0")})
		line, err := environment.Record{
			State: environment.Verified, Environment: "staging", Commit: repository.Head("main"), Revision: 1, Finished: time.Now().Truncate(time.Second),
			Applications: []environment.Application{{Name: "web", Version: "1.0.1"}},
		}.Line(c.by)
		if err != nil {
			t.Fatal(err)
		}
		repository.Git("notes", "--ref=lockstep", "add", "-m", line, "main")
		e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/staging.git", namespace: a, promotion: Manual, recordKey: "`+public+`"}`+"\n"+
			`- {name: production, repository: "%s/production.git", namespace: b, promotion: Auto, after: [staging]}`+"\n")
		if r := e.Promote(t.Context(), known.Auto())[0]; r.Outcome != c.want || r.Err != nil {
			t.Errorf("%s: got %+v, want %s", name, r, c.want)
		}
	}
}

// TestRow49_ForgeDown: environments that take commits ask no forge, and do not
// wait for those whose forge is down. The one that is left over is reported, and
// may be tried again.
func TestRow49_ForgeDown(t *testing.T) {
	t.Parallel()
	const file = header + `- {name: staging, repository: "%s/acme/staging.git", namespace: a, promotion: Auto}
- {name: canary, repository: "%s/acme/canary.git", namespace: b, promotion: Auto, delivery: pull-request}
- {name: production, repository: "%s/acme/production.git", namespace: c, promotion: Auto, delivery: commit}
`
	for name, down := range map[string]func(http.ResponseWriter, *http.Request){
		"refuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"hangs":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		server := gittest.NewInProcessServer(t)
		repositories := map[string]*gittest.Repository{}
		for _, env := range []string{"staging", "canary", "production"} {
			repositories[env] = server.Create("acme/"+env, gittest.Files{"Chart.yaml": list("1.0.0")})
		}
		server.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, "/api/") {
				return false
			}
			down(w, r)
			return true
		})
		e, known := everywhere(t, server, file)
		e.PullRequests.Forge = forge.GitHub
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		e.Tell = func(r promotion.Result) {
			if r.Outcome == promotion.Promoted && ctx.Err() != nil {
				t.Errorf("%s: %s waited for another one's forge", name, r.Environment)
			}
		}
		results := e.Promote(ctx, known.Auto())
		for i, want := range []promotion.Outcome{promotion.Promoted, promotion.Failed, promotion.Promoted} {
			if results[i].Outcome != want {
				t.Errorf("%s: %s is %s, want %s: %v", name, results[i].Environment, results[i].Outcome, want, results[i].Err)
			}
		}
		for env, version := range map[string]string{"staging": "1.0.1", "canary": "1.0.0", "production": "1.0.1"} {
			if got := repositories[env].File("main", "Chart.yaml"); got != list(version) {
				t.Errorf("%s: %s has %s", name, env, got)
			}
		}
		if f := fault.Of(promotion.Err(results)); f.Kind != fault.KindRetryable || f.Reason != "ForgeUnavailable" {
			t.Errorf("%s: %s: %v", name, f.Reason, f.Err)
		}
	}
}
