package site

import (
	"context"
	"time"
)

// Run is a run of a Pipeline, in a cluster or on this machine.
type Run struct {
	Namespace, Name string
	Commit          string // that started it
	Created         time.Time
	Ended           bool
	Completed       time.Time
	Well            bool   // whether it ended well
	Why             string // reason and message of its state
	results         map[string]string
}

// Result of the run, or "".
func (r Run) Result(name string) string { return r.results[name] }

// Step of a run, as it starts or ends.
type Step struct {
	Task, Name  string
	Ended, Well bool
	Took        time.Duration // once it ended
}

// runOf waits for the run that a commit starts.
func runOf(ctx context.Context, what string, commit string, list func(context.Context) ([]Run, error)) (Run, error) {
	var found Run
	err := Until(ctx, what, func(ctx context.Context) (bool, error) {
		runs, err := list(ctx)
		for _, r := range runs {
			if r.Commit == commit {
				found = r
				return true, nil
			}
		}
		return false, err
	})
	return found, err
}

// settled waits until there was a run and none is under way, and returns the
// newest. The list has the oldest first.
func settled(ctx context.Context, what string, list func(context.Context) ([]Run, error)) (Run, error) {
	var newest Run
	err := Until(ctx, what, func(ctx context.Context) (bool, error) {
		runs, err := list(ctx)
		for _, r := range runs {
			if !r.Ended {
				return false, nil
			}
			newest = r
		}
		return len(runs) > 0, err
	})
	return newest, err
}
