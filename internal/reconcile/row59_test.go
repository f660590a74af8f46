package reconcile_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/reconcile"
)

// note writes a record of qa's tip.
func (s *site) note(t *testing.T, record environment.Record) {
	t.Helper()
	r := s.repositories["qa"]
	record.State, record.Environment, record.Commit, record.Run = environment.Failed, "qa", r.Head("main"), s.runs("qa")+"/one"
	text, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	r.Git("notes", "--ref=lockstep", "append", "-m", string(text), r.Head("main"))
}

// failed is a record of a deployment that ended some time ago.
func failed(exitCode int, ago time.Duration) environment.Record {
	return environment.Record{Reason: "RegistryUnavailable", ExitCode: exitCode, Finished: time.Now().Add(-ago).UTC().Truncate(time.Second)}
}

// TestRow59: what a repetition may help is started again, whether something was applied
// or not; and what it cannot help is not.
func TestRow59(t *testing.T) {
	s := start(t)
	s.end(t, s.expect(t, "a new environment", reconcile.Started).Run)
	const now, then = 0, 6 * time.Minute // far from the pauses of one and of four minutes: a slow machine changes nothing
	for _, c := range []struct {
		what      string
		applied   bool
		exitCode  int
		unhealthy bool
		ended     []time.Duration // ago
		want      reconcile.Outcome
		again     bool // there will be another run
	}{
		{"the chart repository is down, once more", false, 1, false, []time.Duration{now, now, now}, reconcile.Failing, true},
		{"it was down", false, 1, false, []time.Duration{then}, reconcile.Started, true},
		{"it was down while verify compared", true, 1, false, []time.Duration{then}, reconcile.Started, true},
		{"a record without an exit code", false, 0, false, []time.Duration{then}, reconcile.Started, true},
		{"refused", false, 3, false, []time.Duration{then}, reconcile.Failing, false},
		{"unhealthy", true, 4, true, []time.Duration{then}, reconcile.Failing, false},
	} {
		s.repositories["qa"].Commit(c.what, nil)
		revision := 0
		if c.applied {
			revision = s.deploy(t)
		}
		for _, ago := range c.ended {
			record := failed(c.exitCode, ago)
			record.Revision, record.Unhealthy = revision, c.unhealthy
			s.note(t, record)
		}
		result := s.expect(t, c.what, c.want)
		if result.Outcome == reconcile.Started {
			s.end(t, result.Run)
			continue
		}
		if strings.Contains(result.Reason, "the next run starts after 20") != c.again || !strings.Contains(result.Reason, "RegistryUnavailable in run ") || result.Err != nil {
			t.Errorf("%s: %+v", c.what, result)
		}
	}
}

// TestRow45_PausesAreTheServers: they end by the API server's clock, which is ahead of
// this machine's.
func TestRow45_PausesAreTheServers(t *testing.T) {
	s := start(t)
	s.end(t, s.expect(t, "a new environment", reconcile.Started).Run)
	proxy := s.proxy(t)
	proxy.Skew.Store(int64(time.Hour))
	s.repositories["qa"].Commit("a moment ago by the server", nil)
	s.note(t, failed(1, -time.Hour))
	s.expect(t, "a moment ago by the server", reconcile.Failing)
	s.repositories["qa"].Commit("a moment ago by this machine", nil)
	s.note(t, failed(1, 0))
	s.expect(t, "a moment ago by this machine", reconcile.Started)
}
