package promotion_test

import (
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

// clockOf lets the host's clock say what the test wants.
func clockOf(server *gittest.Server) *atomic.Pointer[time.Time] {
	var now atomic.Pointer[time.Time]
	server.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Date", now.Load().UTC().Format(http.TimeFormat))
		return false
	})
	return &now
}

// TestRow45_WhatWaitsGoesByTheHostsClock: a window and a soak end when the host
// says so.
func TestRow45_WhatWaitsGoesByTheHostsClock(t *testing.T) {
	t.Parallel()
	const file = header + `- {name: staging, repository: "%s/staging.git", namespace: staging, promotion: Manual}
- {name: soaked, repository: "%s/soaked.git", namespace: soaked, promotion: Auto, after: [staging], soak: 2h}
- {name: windowed, repository: "%s/windowed.git", namespace: windowed, promotion: Auto, windows: [{days: Mon, hours: "12:00-16:00", zone: UTC}]}
`
	server := gittest.NewInProcessServer(t)
	now := clockOf(server)
	monday := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	now.Store(&monday)
	for _, name := range []string{"soaked", "windowed"} {
		server.Create(name, gittest.Files{"Chart.yaml": list("1.0.0")})
	}
	staging := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.1")})
	staging.Git("notes", "--ref=lockstep", "add", "-m", `{"state":"verified","environment":"staging","commit":"`+staging.Head("main")+
		`","run":"acme/1","revision":1,"finished":"2026-03-02T08:59:00Z","applications":[{"name":"web","version":"1.0.1"}]}`, "main")
	e, known := everywhere(t, server, file)
	for _, r := range e.Promote(t.Context(), known.Auto()) {
		if r.Outcome != promotion.Waiting {
			t.Fatalf("at nine o'clock: got %+v, want %s", r, promotion.Waiting)
		}
	}
	for _, at := range []struct {
		hour             int
		soaked, windowed promotion.Outcome
	}{
		{10, promotion.Waiting, promotion.Waiting},
		{11, promotion.Promoted, promotion.Waiting},
		{12, "", promotion.Promoted},
		{13, "", ""},
	} {
		there := monday.Truncate(24 * time.Hour).Add(time.Duration(at.hour) * time.Hour)
		now.Store(&there)
		e, _ := everywhere(t, server, file)
		got := map[string]promotion.Outcome{}
		for _, r := range e.Reopen(t.Context(), known.InOrder()) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			got[r.Environment] = r.Outcome
		}
		if got["soaked"] != at.soaked || got["windowed"] != at.windowed {
			t.Errorf("at %d o'clock: got %v, want soaked %q and windowed %q", at.hour, got, at.soaked, at.windowed)
		}
	}
}

// TestNeverStaysClosed: what waits does not get into an environment that was
// closed meanwhile, unless the glass was broken for it.
func TestNeverStaysClosed(t *testing.T) {
	t.Parallel()
	const file = header + `- {name: vault, repository: "%s/vault.git", namespace: vault, promotion: PROMOTION, frozen: FROZEN}` + "\n"
	form := func(strategy, frozen string) string {
		return strings.NewReplacer("PROMOTION", strategy, "FROZEN", frozen).Replace(file)
	}
	for reason, want := range map[string]promotion.Outcome{"": promotion.Refused, "INC-4711": promotion.Promoted} {
		server := gittest.NewInProcessServer(t)
		server.Create("vault", gittest.Files{"Chart.yaml": list("1.0.0")})
		e, known := everywhere(t, server, form("Manual", "true"))
		e.BreakGlass = reason
		if r := e.Promote(t.Context(), known.InOrder())[0]; r.Outcome != promotion.Waiting {
			t.Fatalf("got %+v, want %s", r, promotion.Waiting)
		}
		e, known = everywhere(t, server, form("Never", "false"))
		if r := e.Reopen(t.Context(), known.InOrder())[0]; r.Outcome != want {
			t.Errorf("broken for %q: got %+v, want %s", reason, r, want)
		}
	}
}

// TestRow14_AForgedWishAddsNothing: whoever may push a ref beside the branch does
// not bring a chart of his own into it, and does not say in whose name it is done.
func TestRow14_AForgedWishAddsNothing(t *testing.T) {
	t.Parallel()
	const closed = header + `- {name: staging, repository: "%s/staging.git", namespace: a, promotion: Auto, frozen: true}` + "\n"
	open := strings.Replace(closed, "frozen: true", "frozen: false", 1)
	for name, test := range map[string]struct {
		reader string // token of who reopens
		add    bool   // told to add what is missing
		want   promotion.Outcome
		author string
	}{
		"with the same token":  {robotsToken, false, promotion.Promoted, "Ada"},
		"with another one":     {strings.Repeat("x", 40), false, promotion.Refused, "Tester"},
		"where it is told to":  {strings.Repeat("x", 40), true, promotion.Promoted, "Robot"},
		"with none at all":     {"", false, promotion.Refused, "Tester"},
		"told to, without one": {"", true, promotion.Promoted, "Robot"},
	} {
		server := gittest.NewInProcessServer(t)
		repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0")})
		with := func(e *promotion.Everywhere, token string) {
			e.Open = func(string) (*git.Remote, error) {
				if token == "" {
					return git.NewRemote(repository.URL, git.Access{})
				}
				return git.NewRemote(repository.WithUser("robot", token), git.Access{})
			}
		}
		e, known := everywhere(t, server, closed)
		e.Add, e.Chart = true, edit.Selector{Name: "api", Repository: "https://a"}
		e.Author = git.Signature{Name: "Ada", Email: "ada@example.com"}
		with(&e, robotsToken)
		if r := e.Promote(t.Context(), known.Auto())[0]; r.Outcome != promotion.Waiting {
			t.Fatalf("got %+v", r)
		}
		e, known = everywhere(t, server, open)
		e.Add, e.Author = test.add, git.Signature{Name: "Robot", Email: "robot@example.com"}
		with(&e, test.reader)
		r := e.Reopen(t.Context(), known.InOrder())[0]
		if added := strings.Contains(repository.File("main", "Chart.yaml"), "name: api"); r.Outcome != test.want || added != (test.want == promotion.Promoted) {
			t.Errorf("%s: got %+v, added: %v", name, r, added)
		}
		if by := repository.Git("log", "-1", "--format=%an", "main"); by != test.author {
			t.Errorf("%s: the author is %s, want %s", name, by, test.author)
		}
	}
}

// TestAskedForByAnotherName: what waited for the application under its alias is
// taken back when somebody gets another version in by the chart's name.
func TestAskedForByAnotherName(t *testing.T) {
	t.Parallel()
	const closed = header + `- {name: staging, repository: "%s/staging.git", namespace: a, promotion: Auto, frozen: true}` + "\n"
	server := gittest.NewInProcessServer(t)
	repository := server.Create("staging", gittest.Files{"Chart.yaml": strings.Replace(list("1.0.0"), "name: web", "name: web\n  alias: front", 1)})
	e, known := everywhere(t, server, closed)
	for _, wish := range []promotion.Promotion{
		{Application: "front", Chart: edit.Selector{Alias: "front"}, Version: "1.0.1"},
		{Application: "other", Chart: edit.Selector{Name: "other"}, Version: "1.0.1"},
	} {
		wish.Author = e.Author
		e.Promotion = wish
		if r := e.Promote(t.Context(), known.Auto())[0]; r.Outcome != promotion.Waiting {
			t.Fatalf("got %+v", r)
		}
	}
	e, known = everywhere(t, server, strings.Replace(closed, "frozen: true", "frozen: false", 1))
	e.Exact, e.Version = true, "1.0.2"
	if r := e.Promote(t.Context(), known.Auto())[0]; r.Outcome != promotion.Promoted {
		t.Fatalf("got %+v", r)
	}
	if left := repository.Git("for-each-ref", "--format=%(refname)", "refs/lockstep/waiting"); left != "refs/lockstep/waiting/staging/other" {
		t.Errorf("what waits: %q, want only what is for another application", left)
	}
}
