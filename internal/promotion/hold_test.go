package promotion_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

const heldFile = ".lockstep/holds.json"

// TestRow02_HoldsAreHeeded: who may promote while what is held, by Apply, which
// every way of promoting goes through.
func TestRow02_HoldsAreHeeded(t *testing.T) {
	t.Parallel()
	const all, web, other, rejected, newer = `{}`, `{"application":"web"}`, `{"application":"api"}`, `{"application":"web","version":"1.0.1"}`, `{"application":"web","version":"1.0.2"}`
	for name, c := range map[string]struct {
		holds  string
		byName bool
		want   promotion.Outcome // "": refused
	}{
		"nothing held":                 {"", false, promotion.Promoted},
		"no holds":                     {`{"holds":[]}`, false, promotion.Promoted},
		"all":                          {all, false, promotion.Waiting},
		"all, by name":                 {all, true, promotion.Promoted},
		"it":                           {web, false, promotion.Waiting},
		"it, by name":                  {web, true, promotion.Promoted},
		"another":                      {other, false, promotion.Promoted},
		"another and it":               {other + "," + web, false, promotion.Waiting},
		"version rejected":             {rejected, false, promotion.Waiting},
		"version rejected, by name":    {rejected, true, ""},
		"another version rejected":     {newer, false, promotion.Promoted},
		"cannot be read":               {"]", false, ""},
		"cannot be read, by name":      {"]", true, ""},
		"keys that nobody understands": {`{"aplication":"web"}`, false, ""},
		"no list":                      {`{"hold":[]}`, false, ""},
		"an empty file":                {" ", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := tree{"Chart.yaml": list("1.0.0")}
			if c.holds != "" {
				files[heldFile] = c.holds
				if !strings.HasPrefix(c.holds, `{"hold`) && c.holds != " " {
					files[heldFile] = `{"holds":[` + c.holds + `]}`
				}
			}
			applied, err := promotion.Begin(t.Context(), files, promotion.Intent{
				File: "Chart.yaml", Kind: promotion.Dependency, Name: "web", To: "1.0.1", Exact: c.byName, ByName: c.byName,
			})
			if applied.Outcome != c.want || (err != nil) != (c.want == "") {
				t.Fatalf("got %+v, %v; want %q", applied, err, c.want)
			}
			if err != nil {
				if fault.Of(err).Kind != fault.KindRefused {
					t.Errorf("%v is no refusal", err)
				}
				return
			}
			if waits := applied.Outcome == promotion.Waiting; waits != (applied.Held.Gate == environment.GateHold) || waits != (len(applied.Files) == 0) {
				t.Errorf("held by %+v, files %v", applied.Held, applied.Files)
			}
		})
	}
}

// TestRow02_HoldMeanwhile: a rollback that lands between the look at the branch
// and the push of an automatic promotion is not undone by it.
func TestRow02_HoldMeanwhile(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0")})
	e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/staging.git", namespace: staging, promotion: Auto}`+"\n")
	var once sync.Once
	server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if gittest.IsPush(r) {
			once.Do(func() {
				repository.Commit("chore: roll web back", gittest.Files{"Chart.yaml": list("0.9.0"), heldFile: `{"holds":[{"application":"web","reason":"it loses sessions"}]}`})
			})
		}
		return false
	})
	r := e.Promote(t.Context(), known.Auto())[0]
	if r.Outcome != promotion.Waiting || !strings.Contains(r.Reason, "it loses sessions") || r.Err != nil {
		t.Fatalf("got %+v, want it to wait for the hold", r)
	}
	if got := repository.Git("show", "main:Chart.yaml"); !strings.Contains(got, "0.9.0") {
		t.Errorf("the rollback is undone:\n%s", got)
	}
	if left := repository.Git("for-each-ref", "--format=%(refname)", "refs/lockstep"); left != "refs/lockstep/waiting/staging/web" {
		t.Errorf("left is %q, want the wish", left)
	}
}

// TestRow01_RollbackMeanwhile: what others bring while an environment goes back as a
// whole is taken back as well, and each of them is held; a rollback of one
// application leaves others alone, and takes back what comes of its own.
func TestRow01_RollbackMeanwhile(t *testing.T) {
	t.Parallel()
	two := func(web, api string) string {
		return list(web) + "- name: api\n  version: " + api + "\n  repository: https://a\n"
	}
	for name, c := range map[string]struct {
		application, meanwhile, want string
		held                         []string
	}{
		"whole":            {"", two("1.0.1", "1.0.2"), two("1.0.0", "1.0.0"), []string{"api", "web"}},
		"one application":  {"web", two("1.0.1", "1.0.2"), two("1.0.0", "1.0.2"), []string{"web"}},
		"that application": {"web", two("1.0.2", "1.0.0"), two("1.0.0", "1.0.0"), []string{"web"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := gittest.NewInProcessServer(t)
			repository := server.Create("staging", gittest.Files{"Chart.yaml": two("1.0.0", "1.0.0")})
			to := repository.Head("main")
			repository.Commit("feat: web", gittest.Files{"Chart.yaml": two("1.0.1", "1.0.0")})
			e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/staging.git", namespace: staging, promotion: Auto}`+"\n")
			e.Application, e.Chart, e.Version = c.application, edit.Selector{Name: c.application}, ""
			e.Hold = promotion.NewHold("", e.Author)
			var once sync.Once
			server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
				if gittest.IsPush(r) {
					once.Do(func() { repository.Commit("feat: more", gittest.Files{"Chart.yaml": c.meanwhile}) })
				}
				return false
			})
			results, err := e.RollBack(t.Context(), known.Environments[0], to)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Outcome != promotion.RolledBack || r.Err != nil {
					t.Fatalf("got %+v", r)
				}
			}
			if got := repository.Git("show", "main:Chart.yaml") + "\n"; got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			holds := repository.Git("show", "main:"+heldFile)
			for _, app := range []string{"api", "web"} {
				if strings.Contains(holds, `"application": "`+app+`"`) != slices.Contains(c.held, app) {
					t.Errorf("held is %s, want %v", holds, c.held)
				}
			}
		})
	}
}

// TestRow02_HoldAfterTheWish: a hold decides about what somebody asked for by name
// before, and which waited.
func TestRow02_HoldAfterTheWish(t *testing.T) {
	t.Parallel()
	const file = header + `- {name: staging, repository: "%s/staging.git", namespace: staging, promotion: Manual, frozen: FROZEN}` + "\n"
	server := gittest.NewInProcessServer(t)
	repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0")})
	e, known := everywhere(t, server, strings.Replace(file, "FROZEN", "true", 1))
	e.Exact, e.ByName = true, true
	if r := e.Promote(t.Context(), known.Environments)[0]; r.Outcome != promotion.Waiting {
		t.Fatalf("got %+v", r)
	}
	repository.Commit("chore: hold web", gittest.Files{heldFile: `{"holds":[{"application":"web"}]}`})
	e, known = everywhere(t, server, strings.Replace(file, "FROZEN", "false", 1))
	if r := e.Reopen(t.Context(), known.Environments)[0]; r.Outcome != promotion.Waiting || r.Err != nil {
		t.Errorf("got %+v, want it to wait for the hold", r)
	}
	if left := repository.Git("for-each-ref", "--format=%(refname)", "refs/lockstep"); left != "refs/lockstep/waiting/staging/web" {
		t.Errorf("left is %q, want the wish", left)
	}
}
