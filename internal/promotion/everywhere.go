package promotion

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// atOnce bounds how many environments are promoted at the same time.
const atOnce = 16

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
	// DryRun writes nothing: results say what would come of it, and show the
	// difference.
	DryRun bool
	// PullRequests says how promotions by pull request go.
	PullRequests PullRequests
	// Tell hears of each result as it comes, from several goroutines. It may be nil.
	Tell func(Result)

	// read has what each environment has deployed, read once and only when
	// somebody asks.
	read map[string]func() upstream
	// heard is what came of that which waited, where somebody looked before.
	heard []Result
}

// Promote promotes into the chosen environments.
func (e Everywhere) Promote(ctx context.Context, chosen []environment.Environment) []Result {
	return e.each(ctx, chosen, func(ctx context.Context, env environment.Environment, t Target) []Result {
		return []Result{e.one(ctx, env, t)}
	})
}

// each does the same in several environments at once, and tells of the results.
func (e *Everywhere) each(ctx context.Context, chosen []environment.Environment, do func(context.Context, environment.Environment, Target) []Result) []Result {
	e.prepare(ctx)
	results := make([][]Result, len(chosen))
	free := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, env := range chosen {
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			results[i] = e.reach(ctx, env, do)
			for _, r := range results[i] {
				if e.Tell != nil {
					e.Tell(r)
				}
			}
		})
	}
	all.Wait()
	return slices.Concat(results...)
}

func (e *Everywhere) prepare(ctx context.Context) {
	if e.read != nil {
		return
	}
	e.read = map[string]func() upstream{}
	for _, env := range e.Known.Environments {
		e.read[env.Name] = sync.OnceValue(func() upstream { return e.upstream(ctx, env) })
	}
}

func (e *Everywhere) reach(ctx context.Context, env environment.Environment, do func(context.Context, environment.Environment, Target) []Result) []Result {
	remote, err := e.Open(env.Repository)
	if err != nil {
		return []Result{e.result(env.Name).failed(err)}
	}
	return do(ctx, env, TargetOf(env, remote))
}

func (p Promotion) result(env string) Result {
	return Result{Environment: env, Application: p.Application, Version: p.Version, chart: p.Chart}
}

func (e *Everywhere) one(ctx context.Context, env environment.Environment, t Target) Result {
	if e.Remove {
		return e.remove(ctx, env, t)
	}
	r := e.result(env.Name)
	decision, err := e.decide(ctx, env, t, e.Promotion)
	switch {
	case err != nil:
		return r.failed(err)
	case !decision.Open():
		return e.hold(ctx, t, e.Promotion, decision)
	case e.DryRun:
		return e.land(ctx, t, e.Promotion, r)
	}
	r = e.deliver(ctx, env, t, e.Promotion)
	if r.Outcome == Waiting {
		return e.hold(ctx, t, e.Promotion, environment.Decision{Closed: []environment.Closed{r.held}})
	}
	if e.Exact && r.Err == nil {
		// Whoever asks for a version by name does not want the one that was asked for before.
		if err := e.withdraw(ctx, t); err != nil {
			slog.WarnContext(ctx, "what waited for this environment before stays", "environment", env.Name, "application", e.Application, "error", err)
		}
	}
	return r
}

// remove takes the application out. Gates hold back what is new, so only a frozen
// environment keeps it. What waits goes first: it would bring the application
// back.
func (e *Everywhere) remove(ctx context.Context, env environment.Environment, t Target) Result {
	r := e.result(env.Name)
	if env.Frozen {
		return r.failed(fault.Refused("EnvironmentFrozen", fmt.Errorf("remove %s from %s: it is frozen", e.Application, env.Name), ""))
	}
	if e.DryRun {
		return e.land(ctx, t, e.Promotion, r)
	}
	if err := e.withdraw(ctx, t); err != nil {
		return r.failed(err)
	}
	return e.deliver(ctx, env, t, e.Promotion)
}

// deliver brings a promotion that may go to the environment in the way it takes
// them.
func (e *Everywhere) deliver(ctx context.Context, env environment.Environment, t Target, p Promotion) Result {
	r := p.result(env.Name)
	if env.Delivery == environment.ByPullRequest {
		done, err := p.Propose(ctx, t, e.PullRequests)
		if r.URL = done.Request.URL; err != nil {
			return r.failed(err)
		}
		r.Outcome, r.Commit = p.outcome(done.Outcome), done.Commit
		return r.heldBy(done.Held)
	}
	landed, err := p.Into(ctx, t)
	if err != nil {
		return r.failed(err)
	}
	r.Outcome, r.Commit = p.outcome(landed.Outcome), landed.Commit
	return r.heldBy(landed.Applied[0].Held)
}

// outcome says what a promotion came to that does something else than its name.
func (p Promotion) outcome(o Outcome) Outcome {
	switch {
	case o != Promoted:
		return o
	case p.Remove:
		return Removed
	case p.back:
		return RolledBack
	case p.Mark == MarkRelease:
		return Released
	case p.Mark == MarkHold && p.Hold.Version != "":
		return Rejected
	case p.Mark == MarkHold:
		return Held
	}
	return o
}

// hold leaves a promotion whose gates are closed in the environment's repository.
func (e *Everywhere) hold(ctx context.Context, t Target, p Promotion, d environment.Decision) Result {
	r := p.result(t.Environment)
	r.Outcome, r.Reason, r.DryRun = Waiting, d.Reason(), e.DryRun
	if e.DryRun {
		return r
	}
	if err := p.Wait(ctx, t, d); err != nil {
		return r.failed(err)
	}
	return r
}

// land does what Into would, alone, or says what would come of it.
func (e *Everywhere) land(ctx context.Context, t Target, p Promotion, r Result) Result {
	d, err := t.fetch(ctx)
	if err != nil {
		return r.failed(err)
	}
	return e.landOn(ctx, d, p, r)
}

func (e *Everywhere) landOn(ctx context.Context, d draft, p Promotion, r Result) Result {
	i, err := d.begin(p)
	if err != nil {
		return r.failed(err)
	}
	if err := p.checkPublished(ctx, d.tree(), i); err != nil {
		return r.failed(err)
	}
	landed, err := d.land(ctx, e, p.message(d.target), d.change(i))
	if err != nil {
		return r.failed(err)
	}
	r.Outcome, r.Commit, r.DryRun, r.Diff = p.outcome(landed.Outcome), landed.Commit, e.DryRun, landed.diff
	return r.heldBy(landed.Applied[0].Held)
}
