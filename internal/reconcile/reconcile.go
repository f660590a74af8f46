// Package reconcile compares what Git says of environments and applications with what
// is on record and in the cluster: it provisions what is missing, starts the pipeline
// where a push was missed, says where a cluster has drifted, and takes away what was deleted. It goes by
// the state alone, never by what happened before, so that it may be run at any time,
// by several at once, and stopped anywhere.
package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/provision"
	"github.com/lockstep-cd/lockstep/internal/release"
)

// Outcome is what became of one environment or application.
type Outcome string

// The outcomes.
const (
	Unchanged Outcome = "unchanged" // everything is as it should be
	Created   Outcome = "created"   // something of it was missing, and nothing had to be deployed
	Started   Outcome = "started"   // its tip was not deployed: a run was started
	Running   Outcome = "running"   // a run is under way
	Failing   Outcome = "failing"   // the deployment of its tip failed: starting it again would not help, or not yet
	Drifted   Outcome = "drifted"   // the cluster is not what the deployed commit says
	Deleted   Outcome = "deleted"   // somebody deleted it: its namespaces go
	Orphaned  Outcome = "orphaned"  // it has namespaces, is not in environments.yaml, and nobody deleted it
	Refused   Outcome = "refused"   // it cannot be as environments.yaml wants it
	Failed    Outcome = "failed"    // something went wrong; the next time may do
)

// Result is what became of one environment, or of one application.
type Result struct {
	Environment string   `json:"environment,omitempty"`
	Application string   `json:"application,omitempty"`
	Outcome     Outcome  `json:"outcome"`
	Commit      git.Hash `json:"commit,omitempty"` // its tip
	Run         string   `json:"run,omitempty"`    // that was started or is under way
	Changed     []string `json:"changed,omitempty"`
	Drift       []string `json:"drift,omitempty"` // how the cluster differs, such as "Deployment web is missing"
	Reason      string   `json:"reason,omitempty"`
	DryRun      bool     `json:"dryRun,omitempty"`
	Err         error    `json:"-"`
}

func (r Result) failed(err error) Result {
	r.Outcome, r.Err, r.Reason = Failed, err, err.Error()
	if fault.Of(err).Kind == fault.KindRefused {
		r.Outcome = Refused
	}
	return r
}

// unheard is the result with what went wrong with the webhook. That a run was started
// stays its outcome.
func (r Result) unheard(err error) Result {
	if r.Outcome != Started {
		return r.failed(err)
	}
	r.Err, r.Reason = err, err.Error()
	return r
}

// Err joins what went wrong, nil where nothing did.
func Err(results []Result) error {
	var errs []error
	for _, r := range results {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.about(), r.Err))
		}
	}
	return errors.Join(errs...)
}

// Reconciler is a cluster and the environments that it should have.
type Reconciler struct {
	Site  provision.Site
	Known *environment.Environments
	Open  func(url string) (*git.Remote, error)
}

// atOnce bounds how many environments or applications are looked at at the same time.
const atOnce = 4

// Environments reconciles the chosen ones. What goes wrong with one keeps none of the
// others back. Those that another tool deploys have nothing in the cluster and no
// result.
func (r *Reconciler) Environments(ctx context.Context, chosen []environment.Environment) []Result {
	chosen = slices.DeleteFunc(slices.Clone(chosen), func(e environment.Environment) bool { return e.File != "" })
	return each(chosen, func(e environment.Environment) Result {
		result := r.one(ctx, e)
		log(ctx, result)
		return result
	})
}

// each does something with all items, some at the same time.
func each[T, R any](items []T, do func(T) R) []R {
	results := make([]R, len(items))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, item := range items {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = do(item)
		})
	}
	all.Wait()
	return results
}

func log(ctx context.Context, r Result) {
	level := slog.LevelInfo
	if r.Outcome == Unchanged {
		level = slog.LevelDebug
	}
	if r.Application != "" {
		slog.Log(ctx, level, string(r.Outcome), "application", r.Application, "reason", r.Reason)
		return
	}
	slog.Log(ctx, level, string(r.Outcome), "environment", r.Environment, "run", r.Run, "reason", r.Reason)
}

// about is what the result is of.
func (r Result) about() string { return cmp.Or(r.Environment, r.Application) }

func (r *Reconciler) one(ctx context.Context, e environment.Environment) Result {
	result := Result{Environment: e.Name, DryRun: r.Site.DryRun}
	place, err := r.place(ctx, e)
	if err != nil {
		return result.failed(err)
	}
	result.Commit = place.Tip.Hash
	var unheard error
	result.Changed, unheard = r.Site.Ensure(ctx, place)
	if unheard != nil && !errors.Is(unheard, provision.ErrUnheard) {
		return result.failed(unheard)
	}
	result, err = r.deployment(ctx, place, result)
	if err != nil {
		return result.failed(errors.Join(err, unheard))
	}
	if unheard != nil {
		return result.unheard(unheard)
	}
	if result.Outcome == Unchanged && len(result.Changed) > 0 {
		result.Outcome = Created
	}
	return result
}

func (r *Reconciler) place(ctx context.Context, e environment.Environment) (provision.Place, error) {
	remote, err := r.Open(e.Repository)
	if err != nil {
		return provision.Place{}, err
	}
	tip, err := remote.Tip(ctx, e.Branch)
	return provision.Place{Environment: e, Remote: remote, Tip: tip}, err
}

// deployment compares the tip with what is on record and with the release.
func (r *Reconciler) deployment(ctx context.Context, p provision.Place, result Result) (Result, error) {
	runs, err := r.Site.Runs(ctx, p)
	if err != nil {
		return result, err
	}
	if len(runs.Unfinished) > 0 {
		result.Outcome, result.Run = Running, runs.Unfinished[0]
		return result, nil
	}
	records, err := recordsOf(ctx, p)
	if err != nil {
		return result, err
	}
	last, recorded := environment.Last(records, p.Name, nil)
	client, err := r.Site.Client.In(ctx, p.Namespace)
	if err != nil {
		return result, err
	}
	releases, err := release.Open(client, p.Name)
	if err != nil {
		return result, err
	}
	revision, err := releases.Last()
	if r.Site.DryRun && cluster.IsForbidden(err) {
		revision, err = nil, nil // the right may be a part of what a dry run does not make
	}
	if err != nil {
		return result, err
	}
	deployed := revision != nil && revision.Commit == string(p.Tip.Hash)
	switch {
	case recorded && last.State == environment.Failed && isFinal(last) && (deployed || last.Revision == 0):
		result.Outcome, result.Reason = Failing, attempts{last: last}.reason()
		return result, nil
	case deployed && recorded && last.State != environment.Failed:
		return drift(releases, revision, result)
	}
	tried := attemptsOf(records, last, runs)
	if next := tried.next(); r.Site.Client.Now().Before(next) {
		result.Outcome, result.Reason = Failing, tried.reason()+"; the next run starts after "+next.UTC().Format(time.RFC3339)
		return result, nil
	}
	result.Outcome = Started
	if !r.Site.DryRun {
		result.Run, err = r.Site.Start(ctx, p)
	}
	return result, err
}

// recordsOf are the deployments of the tip that are on record, oldest first.
func recordsOf(ctx context.Context, p provision.Place) ([]environment.Record, error) {
	notes, err := p.Remote.ReadNotes(ctx, p.Tip.Hash)
	if err != nil {
		return nil, err
	}
	return promotion.RecordsOf(ctx, p.Environment, notes), nil
}

func drift(releases *release.Release, revision *release.Revision, result Result) (Result, error) {
	differences, err := releases.Drift(revision)
	if err != nil {
		return result, err
	}
	result.Outcome = Unchanged
	for _, d := range differences {
		result.Outcome = Drifted
		result.Drift = append(result.Drift, d.String())
	}
	return result, nil
}
