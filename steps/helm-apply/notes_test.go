package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/release"
)

func (w *world) lease(run string) cluster.LeaseState {
	w.t.Helper()
	state, err := w.on.Client(w.t).ReadLease(w.t.Context(), release.LeaseName("staging"), run)
	if err != nil {
		w.t.Fatal(err)
	}
	return state
}

// TestRow59_TheExitCodeIsNoted: record learns from the lease whether a repetition may help.
func TestRow59_TheExitCodeIsNoted(t *testing.T) {
	w := newWorld(t)
	for run, c := range map[string]struct {
		chart string
		code  string
	}{
		"ci/down":    {"apiVersion: v2\nname: staging\nversion: 0.1.0\ndependencies:\n- {name: web, version: 1.0.0, repository: \"http://127.0.0.1:1\"}\n", "1"},
		"ci/refused": {"apiVersion: v2\nname: staging\nversion: 0.1.0\ndependencies:\n- {name: web, version: ^1.0.0, repository: \"http://127.0.0.1:1\"}\n", "3"},
	} {
		w.repository.Commit(run, gittest.Files{"Chart.yaml": c.chart})
		p := w.start(w.on.Kubeconfig, run, "--timeout=5s")
		if err := p.Wait(); err == nil {
			t.Errorf("%s: no failure", run)
		}
		state := w.lease(run)
		if state.Held || state.Notes["deployment"] != "failed" || state.Notes["exit-code"] != c.code || state.Notes["commit"] != w.repository.Head("main") {
			t.Errorf("%s: the lease tells %+v\n%s", run, state, p.log.String())
		}
	}
}

// TestRow17_TheCommitIsNotedBeforeItIsApplied: of a program that is killed while it applies,
// record finds what it was about to deploy.
func TestRow17_TheCommitIsNotedBeforeItIsApplied(t *testing.T) {
	w := newWorld(t)
	proxy := w.on.Proxy(t)
	applying := make(chan bool, 1)
	proxy.Hook(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/configmaps") && !r.URL.Query().Has("dryRun") {
			applying <- true
			<-r.Context().Done()
			return true
		}
		return false
	})
	p := w.start(proxy.Kubeconfig, "ci/killed", "--keep-lease=1m")
	<-applying
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	if state := w.lease("ci/killed"); !state.Held || state.Notes["commit"] != w.repository.Head("main") || state.Notes["deployment"] != "" {
		t.Errorf("the lease tells %+v", state)
	}
}
