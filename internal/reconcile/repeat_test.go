package reconcile

import (
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/provision"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// TestRow59_PausesGrow: each pause is twice the one before, up to half an hour; and they
// begin again behind a deployment that did not fail.
func TestRow59_PausesGrow(t *testing.T) {
	const failed, verified, superseded = environment.Failed, environment.Verified, environment.Superseded
	for _, c := range []struct {
		records []environment.State // one a second, the last at noon
		runs    int                 // that ended without a record, one a minute after noon
		pause   time.Duration       // from the last of all; negative: none
	}{
		{nil, 0, -1},
		{nil, 2, -1},
		{nil, 3, time.Minute},
		{nil, 4, 2 * time.Minute},
		{nil, 100, 30 * time.Minute},
		{[]environment.State{failed}, 0, time.Minute},
		{[]environment.State{failed, failed}, 0, 2 * time.Minute},
		{[]environment.State{failed, superseded, failed}, 0, 2 * time.Minute},
		{[]environment.State{failed, failed, verified, failed}, 0, time.Minute},
		{[]environment.State{failed, failed}, 1, 4 * time.Minute},
		{[]environment.State{failed, failed, failed, failed, failed}, 0, 16 * time.Minute},
		{[]environment.State{failed, failed, failed, failed, failed, failed}, 0, 30 * time.Minute},
		{[]environment.State{failed, failed, failed, failed, failed, failed}, 100, 30 * time.Minute},
		{[]environment.State{verified}, 2, -1},
		{[]environment.State{failed, verified}, 3, time.Minute},
	} {
		var records []environment.Record
		for i, state := range c.records {
			records = append(records, environment.Record{State: state, Environment: "qa", Finished: noon.Add(time.Duration(i+1-len(c.records)) * time.Second)})
		}
		var runs provision.Runs
		for i := range c.runs {
			runs.Ended = append(runs.Ended, noon.Add(time.Duration(i+1)*time.Minute))
		}
		last, _ := environment.Last(records, "qa", nil)
		next, want := attemptsOf(records, last, runs).next(), time.Time{}
		if c.pause >= 0 {
			want = noon.Add(time.Duration(c.runs)*time.Minute + c.pause)
		}
		if !next.Equal(want) {
			t.Errorf("%v and %d runs: %s, want %s", c.records, c.runs, next, want)
		}
	}
}

func TestRow59_WhatARepetitionCannotHelp(t *testing.T) {
	for _, c := range []struct {
		record environment.Record
		final  bool
	}{
		{environment.Record{}, false}, // of a version without the key, or of a step that was killed
		{environment.Record{Unhealthy: true}, true},
		{environment.Record{ExitCode: 1}, false},
		{environment.Record{ExitCode: 2}, true},
		{environment.Record{ExitCode: 3}, true},
		{environment.Record{ExitCode: 4, Unhealthy: true}, true},
		{environment.Record{ExitCode: 143}, false},
	} {
		if isFinal(c.record) != c.final {
			t.Errorf("%+v: final is %v", c.record, !c.final)
		}
	}
}
