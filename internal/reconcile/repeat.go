package reconcile

import (
	"fmt"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/provision"
)

// Bounds of the pause between a deployment that failed and the next run of its commit.
// Each pause is twice the one before.
const (
	firstPause   = time.Minute
	longestPause = 30 * time.Minute
)

// mostRuns is how many runs of one commit may end without a record before there are
// pauses between them.
const mostRuns = 3

// attempts are the deployments of one commit that failed, one after the other.
type attempts struct {
	last   environment.Record // on record; the zero value when there is none
	failed int                // how many records in a row say so, up to the last
	silent int                // how many runs ended without a record after that
	latest time.Time          // when the last of all of them began or finished, by the API server's clock
}

func attemptsOf(records []environment.Record, last environment.Record, runs provision.Runs) attempts {
	a := attempts{last: last, latest: last.Finished}
	for _, r := range records {
		switch r.State {
		case environment.Superseded:
		case environment.Failed:
			a.failed++
		default:
			a.failed = 0
		}
	}
	if last.State != environment.Failed {
		a.failed, a.latest = 0, time.Time{}
	}
	for _, began := range runs.Ended {
		if began.After(last.Finished) {
			a.silent++
		}
		if began.After(a.latest) {
			a.latest = began
		}
	}
	return a
}

// next is when the commit may be started again; the zero time: at once.
func (a attempts) next() time.Time {
	number := a.failed + a.silent
	if a.failed == 0 {
		number -= mostRuns - 1
	}
	if number <= 0 {
		return time.Time{}
	}
	pause := longestPause
	if number <= 5 { // 1, 2, 4, 8 and 16 minutes
		pause = firstPause << (number - 1)
	}
	return a.latest.Add(pause)
}

// reason says what failed.
func (a attempts) reason() string {
	if a.silent > 0 {
		return fmt.Sprintf("%d runs of this commit ended without a record", a.silent)
	}
	return strings.TrimSpace(a.last.Reason + " in run " + a.last.Run)
}

// isFinal reports whether a repetition cannot help. What is not known, as in records
// without an exit code, is tried again.
func isFinal(r environment.Record) bool {
	switch fault.Kind(r.ExitCode) {
	case fault.KindUsage, fault.KindRefused, fault.KindUnverified:
		return true
	}
	return r.Unhealthy
}
