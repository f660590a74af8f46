package promotion

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Result is what came of a promotion in one environment.
type Result struct {
	Environment string
	Application string // "" when it is about the environment as a whole
	Version     string
	Outcome     Outcome
	Commit      git.Hash // ours, or the tip at which nothing was left to do; "" where none was found
	Reason      string   // why it waits
	URL         string   // of the pull request, where there is one
	Err         error    // of Refused and Failed
	DryRun      bool     // nothing was written: it is what would come of it
	Diff        string   // of a dry run, as git diff prints it

	held  environment.Closed // by what, where it waits for a hold
	chart edit.Selector      // how it was chosen; the zero value where Application is the environment's name
}

// heldBy says so of a result that waits.
func (r Result) heldBy(c environment.Closed) Result {
	if r.Outcome == Waiting {
		r.held, r.Reason = c, environment.Decision{Closed: []environment.Closed{c}}.Reason()
	}
	return r
}

// MarshalJSON is what programs print of it.
func (r Result) MarshalJSON() ([]byte, error) {
	message := ""
	if r.Err != nil {
		message = r.Err.Error()
	}
	return json.Marshal(struct {
		Environment string   `json:"environment"`
		Application string   `json:"application,omitempty"`
		Version     string   `json:"version,omitempty"`
		Outcome     Outcome  `json:"outcome"`
		Commit      git.Hash `json:"commit,omitempty"`
		Reason      string   `json:"reason,omitempty"`
		URL         string   `json:"url,omitempty"`
		Error       string   `json:"error,omitempty"`
		DryRun      bool     `json:"dryRun,omitempty"`
		Diff        string   `json:"diff,omitempty"`
	}{r.Environment, r.Application, r.Version, r.Outcome, r.Commit, r.Reason, r.URL, message, r.DryRun, r.Diff})
}

func (r Result) failed(err error) Result {
	r.Outcome, r.Err, r.Reason = Failed, err, ""
	if fault.Of(err).Kind == fault.KindRefused {
		r.Outcome = Refused
	}
	return r
}

// Err is what a program that promoted into all of them ends with: nil when none
// failed, a fault of the kind that all have in common, such as a refusal when every
// one that failed was refused for good, and else an error that a retry may cure.
func Err(results []Result) error {
	var errs []error
	var first fault.Error
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		f := fault.Of(r.Err)
		switch {
		case len(errs) == 0:
			first = f
		case f.Kind != first.Kind:
			first.Kind = fault.KindRetryable
		}
		errs = append(errs, fmt.Errorf("%s: %w", r.Environment, r.Err))
	}
	switch {
	case len(errs) == 0:
		return nil
	case len(errs) == 1 && len(results) == 1:
		return results[0].Err
	}
	return &fault.Error{Kind: first.Kind, Reason: first.Reason, Hint: first.Hint, Err: errors.Join(errs...)}
}

// Bounds of what Outcomes names one by one: a step's results have room for
// 1,000 bytes together.
const (
	mostShown      = 8
	mostShownBytes = 800
)

// Outcomes is the result of the same name: a JSON list of {environment, outcome,
// commit}, with 12 digits of the commit, for at most eight results. Of more
// there is {outcome: count} for the rest at its end. Where the results are of
// several applications, each is named. It is "" when there are none: Tekton takes
// an empty list for a result of type array, and fails the run.
func Outcomes(results []Result) string {
	if len(results) == 0 {
		return ""
	}
	several := slices.ContainsFunc(results, func(r Result) bool { return r.Application != results[0].Application })
	var shown []string
	rest, size := map[Outcome]int{}, 0
	for _, r := range results {
		entry := entryOf(r, several)
		if size += len(entry); len(shown) == mostShown || size > mostShownBytes {
			rest[r.Outcome]++
			continue
		}
		shown = append(shown, entry)
	}
	if len(rest) > 0 {
		shown = append(shown, marshal(rest))
	}
	return "[" + strings.Join(shown, ",") + "]"
}

func entryOf(r Result, several bool) string {
	entry := map[string]any{"environment": r.Environment, "outcome": r.Outcome}
	if several && r.Application != "" {
		entry["application"] = r.Application
	}
	if r.Commit != "" {
		entry["commit"] = r.Commit.Short()
	}
	return marshal(entry)
}

func marshal(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // texts and numbers only
	}
	return string(text)
}
