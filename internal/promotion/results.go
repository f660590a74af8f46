package promotion

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Result is what came of a promotion in one environment.
type Result struct {
	Environment string
	Outcome     Outcome
	Commit      git.Hash // ours, or the tip at which nothing was left to do; "" where none was found
	Reason      string   // why it waits
	Err         error    // of Refused and Failed
}

// MarshalJSON is what programs print of it.
func (r Result) MarshalJSON() ([]byte, error) {
	message := ""
	if r.Err != nil {
		message = r.Err.Error()
	}
	return json.Marshal(struct {
		Environment string   `json:"environment"`
		Outcome     Outcome  `json:"outcome"`
		Commit      git.Hash `json:"commit,omitempty"`
		Reason      string   `json:"reason,omitempty"`
		Error       string   `json:"error,omitempty"`
	}{r.Environment, r.Outcome, r.Commit, r.Reason, message})
}

func (r Result) failed(err error) Result {
	r.Outcome, r.Err = Failed, err
	if fault.Of(err).Kind == fault.KindRefused {
		r.Outcome = Refused
	}
	return r
}

// Err is what a program that promoted into all of them ends with: nil when none
// failed, a refusal when every one that failed was refused for good, and else
// an error that a retry may cure.
func Err(results []Result) error {
	var errs []error
	kind := fault.KindRefused
	var first fault.Error
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		f := fault.Of(r.Err)
		if len(errs) == 0 {
			first = f
		}
		if f.Kind != fault.KindRefused {
			kind = fault.KindRetryable
		}
		errs = append(errs, fmt.Errorf("%s: %w", r.Environment, r.Err))
	}
	switch {
	case len(errs) == 0:
		return nil
	case len(errs) == 1 && len(results) == 1:
		return results[0].Err
	}
	return &fault.Error{Kind: kind, Reason: first.Reason, Hint: first.Hint, Err: errors.Join(errs...)}
}

// mostShown is how many environments Outcomes names, which is as much as a
// step's results have room for.
const mostShown = 8

// Outcomes is the result of the same name: a JSON list of {environment, outcome,
// commit}, with 12 digits of the commit, for at most eight environments. Of more
// there is {outcome: count} for the rest at its end.
func Outcomes(results []Result) string {
	list := []map[string]any{}
	for _, r := range results[:min(len(results), mostShown)] {
		entry := map[string]any{"environment": r.Environment, "outcome": r.Outcome}
		if r.Commit != "" {
			entry["commit"] = r.Commit.Short()
		}
		list = append(list, entry)
	}
	if len(results) > mostShown {
		rest := map[string]any{}
		for _, r := range results[mostShown:] {
			n, _ := rest[string(r.Outcome)].(int)
			rest[string(r.Outcome)] = n + 1
		}
		list = append(list, rest)
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // texts and numbers only
	}
	return string(text)
}
