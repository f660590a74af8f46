package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// atOnce bounds how many environments are promoted at the same time.
const atOnce = 16

// Result is what came of a promotion in one environment.
type Result struct {
	Environment string
	Outcome     Outcome
	Commit      git.Hash // ours, or the tip at which nothing was left to do; "" where none was found
	Reason      string   // why it waits
	Err         error    // of Refused and Failed
}

// Everywhere promotes into several environments at the same time, whose gates
// are asked first. Each has its Result, in their order; one that fails keeps no
// other from being promoted, and a repetition does only what is missing.
type Everywhere struct {
	Promotion
	// Known are all environments of the file: gates look at others than those
	// that are promoted.
	Known *environment.Environments
	// Open reaches a repository.
	Open func(url string) (*git.Remote, error)
	// Tell hears of each result as it comes, from several goroutines. It may be nil.
	Tell func(Result)
}

// Into promotes into the chosen environments.
func (e Everywhere) Into(ctx context.Context, chosen []environment.Environment) []Result {
	results := make([]Result, len(chosen))
	free := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, env := range chosen {
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			results[i] = e.one(ctx, env)
			if e.Tell != nil {
				e.Tell(results[i])
			}
		})
	}
	all.Wait()
	return results
}

func (e Everywhere) one(ctx context.Context, env environment.Environment) Result {
	r := Result{Environment: env.Name}
	if env.Delivery != environment.ByCommit {
		return r.failed(fault.Refused("DeliveryNotSupported", fmt.Errorf("%s takes promotions by %s, which is not done yet", env.Name, env.Delivery), ""))
	}
	remote, err := e.Open(env.Repository)
	if err != nil {
		return r.failed(err)
	}
	target := Target{Environment: env.Name, Remote: remote, Branch: env.Branch, Path: env.Path}
	decision, err := e.decide(ctx, env)
	if err != nil {
		return r.failed(err)
	}
	if !decision.Open() {
		r.Outcome, r.Reason = Waiting, decision.Reason()
		if err := e.Wait(ctx, target, decision); err != nil {
			return r.failed(err)
		}
		return r
	}
	landed, err := e.Promotion.Into(ctx, target)
	if err != nil {
		return r.failed(err)
	}
	r.Outcome, r.Commit = landed.Outcome, landed.Commit
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

// decide asks the environment's gates, with the records of those it is after
// and a server's time.
func (e Everywhere) decide(ctx context.Context, env environment.Environment) (environment.Decision, error) {
	if len(env.After) == 0 && len(env.Windows) == 0 {
		return env.Decide(e.wish(), nil, time.Time{}), nil
	}
	upstream := map[string]environment.Upstream{}
	var now time.Time
	for _, name := range env.After {
		records, at, err := e.records(ctx, name)
		if err != nil {
			return environment.Decision{}, fmt.Errorf("read the deployment records of %s: %w", name, err)
		}
		upstream[name], now = environment.Upstream{Application: e.effectiveName(), Records: records}, at
	}
	if now.IsZero() {
		at, err := e.serverTime(ctx, env)
		if err != nil {
			return environment.Decision{}, err
		}
		now = at
	}
	return env.Decide(e.wish(), upstream, now), nil
}

func (e Everywhere) wish() environment.Promotion {
	return environment.Promotion{Application: e.effectiveName(), Version: e.Version}
}

// effectiveName is how records name the application.
func (e Everywhere) effectiveName() string {
	if e.Chart.Alias != "" {
		return e.Chart.Alias
	}
	return e.Chart.Name
}

func (e Everywhere) records(ctx context.Context, name string) ([]environment.Record, time.Time, error) {
	env, ok := e.Known.ByName(name)
	if !ok {
		return nil, time.Time{}, fault.Usage("UnknownEnvironment", fmt.Errorf("there is no environment %s", name), "")
	}
	remote, err := e.Open(env.Repository)
	if err != nil {
		return nil, time.Time{}, err
	}
	notes, err := remote.AllNotes(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	var records []environment.Record
	for commit, note := range notes {
		found, warnings := environment.ParseRecords(string(commit), note)
		for _, w := range warnings {
			slog.WarnContext(ctx, "a deployment record cannot be read", "environment", name, "error", w)
		}
		records = append(records, found...)
	}
	return records, said(ctx, remote), nil
}

// serverTime asks the environment's own server, for an environment that has
// windows and is after none.
func (e Everywhere) serverTime(ctx context.Context, env environment.Environment) (time.Time, error) {
	remote, err := e.Open(env.Repository)
	if err != nil {
		return time.Time{}, err
	}
	if _, err := remote.Tip(ctx, env.Branch); err != nil {
		return time.Time{}, err
	}
	return said(ctx, remote), nil
}

// said is the server's time; a clock that differs is worth a word.
func said(ctx context.Context, remote *git.Remote) time.Time {
	now, skew := remote.Now()
	if skew != 0 {
		slog.WarnContext(ctx, "the server's clock differs from this machine's; gates go by the server's", "server", remote.URL(), "skew", skew.Round(time.Second))
	}
	return now
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
