package site

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
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

// Promoted is the commit, by its first digits, with which a run of the
// application pipeline promoted into an environment.
func (r Run) Promoted(e Environment) (string, error) {
	return promotedCommit(r.Result("outcomes"), e)
}

// promotedCommit reads the outcomes of a promotion.
func promotedCommit(outcomes string, e Environment) (string, error) {
	var list []struct{ Environment, Outcome, Commit string }
	if err := json.Unmarshal([]byte(outcomes), &list); err != nil {
		return "", fmt.Errorf("outcomes %q: %w", outcomes, err)
	}
	for _, o := range list {
		if o.Environment == e.Name && o.Outcome == "promoted" && len(o.Commit) >= 12 {
			return o.Commit[:12], nil
		}
	}
	return "", fmt.Errorf("nothing was promoted into %s: %s", e.Name, outcomes)
}

// Step of a run, as it starts or ends.
type Step struct {
	Task, Name  string
	Ended, Well bool
	Took        time.Duration // once it ended
}

// runOf waits for the run that a commit, given by at least its first digits,
// starts.
func runOf(ctx context.Context, what string, commit string, list func(context.Context) ([]Run, error)) (Run, error) {
	var found Run
	err := Until(ctx, what, func(ctx context.Context) (bool, error) {
		runs, err := list(ctx)
		for _, r := range runs {
			if commit != "" && strings.HasPrefix(r.Commit, commit) {
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
