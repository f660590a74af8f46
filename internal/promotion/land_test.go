package promotion_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// host is a Git host with one repository and the tip of it, fetched.
type host struct {
	server     *gittest.Server
	repository *gittest.Repository
	landing    promotion.Landing
	base       git.Hash
}

// wants makes intents the work of the landing.
func (h *host) wants(intents ...promotion.Intent) {
	h.landing.Work = promotion.Change{Base: h.base, Intents: intents}
}

func newHost(t *testing.T, files gittest.Files) host {
	t.Helper()
	h := host{server: gittest.NewInProcessServer(t)}
	h.repository = h.server.Create("env", files)
	remote, err := git.NewRemote(h.repository.URL, git.Access{})
	if err != nil {
		t.Fatal(err)
	}
	local := git.NewMemory()
	tip, err := remote.Tip(t.Context(), "main")
	if err == nil {
		err = remote.Fetch(t.Context(), local, tip, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.base = tip.Hash
	h.landing = promotion.Landing{
		Remote: remote, Repository: local, Branch: "refs/heads/main",
		Author: git.Signature{Name: "Tester", Email: "tester@example.com"},
	}
	return h
}

func webTo(version string) []promotion.Intent {
	return []promotion.Intent{{File: "Chart.yaml", Kind: promotion.Dependency, Name: "web", From: "1.0.0", To: version}}
}

// TestRow01_LosingEveryRaceEnds: somebody else always pushes first. The change
// lands when they stop, and fails as "try again" when they do not.
func TestRow01_LosingEveryRaceEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		races    int
		patience time.Duration
		reason   string
	}{
		"five races": {5, time.Minute, ""},
		"always":     {1 << 30, 500 * time.Millisecond, "PushContention"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, gittest.Files{"Chart.yaml": list("1.0.0")})
			lost := 0
			h.server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
				if gittest.IsPush(r) && lost < test.races {
					lost++
					h.repository.Commit("faster", gittest.Files{"other": strings.Repeat("x", lost)})
				}
				return false
			})
			h.wants(webTo("1.0.1")...)
			h.landing.Patience = test.patience
			landed, err := promotion.Land(t.Context(), h.landing)
			if got := reason(err); got != test.reason || (err != nil && fault.Of(err).Kind != fault.KindRetryable) {
				t.Fatalf("Land = %v, want reason %q", err, test.reason)
			}
			if err == nil && (h.repository.Head("main") != string(landed.Commit) || h.repository.Git("rev-list", "--count", "main") != "7") {
				t.Errorf("landed at %s, the branch is\n%s", landed.Commit, h.repository.Git("log", "--oneline", "main"))
			}
		})
	}
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Reason
}

// TestLandStopsWithItsContext: a signal ends the waiting at once, and nothing
// is left at the remote or here.
func TestLandStopsWithItsContext(t *testing.T) {
	t.Parallel()
	h := newHost(t, gittest.Files{"Chart.yaml": list("1.0.0")})
	ctx, cancel := context.WithCancel(t.Context())
	h.server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if gittest.IsPush(r) {
			h.repository.Commit("faster", nil)
			cancel()
		}
		return false
	})
	h.wants(webTo("1.0.1")...)
	if _, err := promotion.Land(ctx, h.landing); err == nil {
		t.Error("Land went on after its context ended")
	}
	if got := h.repository.Git("rev-list", "--count", "main"); got != "2" {
		t.Errorf("%s commits", got)
	}
}

// TestRow31_ReplayLooksForVendoredCharts: the branch began to vendor charts
// after the intent was noted.
func TestRow31_ReplayLooksForVendoredCharts(t *testing.T) {
	t.Parallel()
	h := newHost(t, gittest.Files{"Chart.yaml": list("1.0.0")})
	h.wants(webTo("1.0.1")...)
	h.repository.Commit("vendor", gittest.Files{"charts/web-1.0.0.tgz": "archive"})
	_, err := promotion.Land(t.Context(), h.landing)
	if reason(err) != "VendoredChartStale" || !strings.Contains(fault.Of(err).Hint, "helm dependency update") {
		t.Errorf("Land = %v", err)
	}
}

// TestSeveralIntentsOfOneFile are one commit, also on another tip.
func TestSeveralIntentsOfOneFile(t *testing.T) {
	t.Parallel()
	two := list("1.0.0") + "- {name: api, version: 2.0.0}\n"
	h := newHost(t, gittest.Files{"Chart.yaml": two})
	h.wants(append(webTo("1.0.1"), promotion.Intent{
		File: "Chart.yaml", Kind: promotion.Dependency, Name: "api", From: "2.0.0", To: "2.0.1"})...)
	h.repository.Commit("comment", gittest.Files{"Chart.yaml": "# new\n" + two})
	landed, err := promotion.Land(t.Context(), h.landing)
	if err != nil || landed.Outcome != promotion.Promoted {
		t.Fatalf("Land = %+v, %v", landed, err)
	}
	if got, want := h.repository.File("main", "Chart.yaml"), "# new\n"+list("1.0.1")+"- {name: api, version: 2.0.1}\n"; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if subject := h.repository.Git("log", "-1", "--format=%s", "main"); subject != "chore: promote web to version 1.0.1, api to version 2.0.1" {
		t.Errorf("subject %q", subject)
	}
}
