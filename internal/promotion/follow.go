package promotion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/precedence"
)

// state is what an environment has: versions by the names of the applications
// there, and the commit that says so.
type state struct {
	environment environment.Environment
	versions    map[string]string
	commit      string
}

// Follow promotes what one environment has verified last into the chosen ones:
// of the applications (none: all) each that they have in another version, as one
// commit per environment, so that what was verified together arrives together;
// by pull request, as one for each application.
// An environment without a verified deployment on record counts with the
// versions of its branch. The fields of the Promotion that say what is promoted
// are not looked at.
func (e Everywhere) Follow(ctx context.Context, from environment.Environment, applications []string, chosen []environment.Environment) ([]Result, error) {
	e.prepare(ctx)
	s, ok, err := e.verified(from)
	if err == nil && !ok {
		slog.WarnContext(ctx, "no deployment of it is on record as verified; its branch says the versions", "environment", from.Name)
		s, err = e.written(ctx, from, applications)
	}
	if err != nil {
		return nil, err
	}
	for _, name := range applications {
		if s.versions[name] == "" {
			return nil, fault.Usage("UnknownApplication", fmt.Errorf("%s has no application %s", from.Name, name), "")
		}
	}
	return e.follow(ctx, s, applications, chosen), nil
}

// Onward is what a deployment of an environment starts when it has ended: where it
// failed, RollBackFailed; and of what was verified last, what waits for it is asked
// again, and what is Auto and after it follows. Without a verified deployment on
// record nothing does.
func (e Everywhere) Onward(ctx context.Context, from environment.Environment) ([]Result, error) {
	e.prepare(ctx)
	s, ok, err := e.verified(from)
	if err != nil || !ok {
		return nil, err
	}
	back, err := e.RollBackFailed(ctx, from)
	if err != nil {
		return nil, err
	}
	e.heard = e.Reopen(ctx, e.Known.After(from.Name))
	return slices.Concat(back, e.heard, e.follow(ctx, s, nil, e.Known.Following(from.Name))), nil
}

// verified is what an environment verified last. ok is false where no record
// says so.
func (e *Everywhere) verified(env environment.Environment) (s state, ok bool, err error) {
	up := e.read[env.Name]()
	if up.err != nil {
		return state{}, false, fmt.Errorf("read the deployment records of %s: %w", env.Name, up.err)
	}
	record, ok := environment.LastVerified(up.records, env.Name)
	s = state{environment: env, versions: map[string]string{}, commit: record.Commit}
	for _, a := range record.Applications {
		s.versions[a.Name] = a.Version
	}
	return s, ok, nil
}

// written is what the environment's branch says.
func (e *Everywhere) written(ctx context.Context, env environment.Environment, applications []string) (state, error) {
	remote, err := e.Open(env.Repository)
	if err != nil {
		return state{}, err
	}
	d, err := TargetOf(env, remote).fetch(ctx)
	if err != nil {
		return state{}, err
	}
	versions, err := d.versions(applications)
	return state{environment: env, versions: versions, commit: string(d.tip.Hash)}, err
}

func (e *Everywhere) follow(ctx context.Context, s state, applications []string, chosen []environment.Environment) []Result {
	return e.each(ctx, chosen, func(ctx context.Context, env environment.Environment, t Target) []Result {
		d, err := t.fetch(ctx)
		if err != nil {
			return []Result{Result{Environment: env.Name}.failed(err)}
		}
		f := following{Everywhere: e, env: env, draft: d, source: s}
		return f.run(ctx, applications)
	})
}

// following is how one environment follows another one.
type following struct {
	*Everywhere
	env    environment.Environment
	draft  draft
	source state

	results []Result
	open    []Promotion // what is to be committed
}

func (f *following) run(ctx context.Context, applications []string) []Result {
	find, err := f.draft.finder()
	if err != nil {
		return []Result{Result{Environment: f.env.Name}.failed(err)}
	}
	for _, name := range slices.Sorted(maps.Keys(f.source.versions)) {
		asked := slices.Contains(applications, name)
		if f.source.versions[name] != "" && (asked || len(applications) == 0) {
			f.consider(ctx, find, name, asked)
		}
	}
	switch {
	case len(f.open) == 0:
	case f.env.Delivery == environment.ByPullRequest && !f.DryRun:
		// There is one request for each application.
		for _, p := range f.open {
			r := f.deliver(ctx, f.env, f.draft.target, p)
			f.results = append(f.results, f.waits(ctx, p, r))
		}
	default:
		f.commit(ctx)
	}
	heard := slices.ContainsFunc(f.heard, func(r Result) bool { return r.Environment == f.env.Name })
	if len(f.results) == 0 && !heard {
		return []Result{{Environment: f.env.Name, Outcome: Unchanged, Commit: f.draft.tip.Hash, DryRun: f.DryRun}}
	}
	return f.results
}

// underWay reports whether this very version was asked for before, by either
// name of the application, and a moment ago held back or proposed.
func (f *following) underWay(k known, version string) bool {
	return slices.ContainsFunc(f.heard, func(r Result) bool {
		return r.Environment == f.env.Name && (r.Outcome == Waiting || r.Outcome == Opened) && r.Version == version && k.goesBy(r.Application)
	})
}

// consider looks whether the environment has an application in another version,
// and asks the gates then. An application that it does not have, or that cannot
// be promoted there, matters only to who asked for it.
func (f *following) consider(ctx context.Context, find func(string) (known, string, error), name string, asked bool) {
	p := f.Promotion
	p.Application, p.Chart, p.Version = name, edit.Selector{Alias: name}, f.source.versions[name]
	k, version, err := find(name)
	switch {
	case errors.Is(err, errAbsent) && asked:
		f.results = append(f.results, p.result(f.env.Name).failed(fault.Refused("ApplicationNotFound", fmt.Errorf("%s has no application %s", f.env.Name, name), "Add it to the environment once.")))
	case errors.Is(err, errAbsent):
	case err != nil && asked:
		f.results = append(f.results, p.result(f.env.Name).failed(err))
	case err != nil:
		slog.WarnContext(ctx, "an application is left as it is", "environment", f.env.Name, "application", name, "error", err)
	case version != p.Version && !f.underWay(k, p.Version):
		if err := f.certain(ctx, p, k, version); err != nil && asked {
			f.results = append(f.results, p.result(f.env.Name).failed(err))
		} else if err != nil {
			slog.WarnContext(ctx, "an application is left as it is", "environment", f.env.Name, "application", name, "error", err)
		} else {
			f.ask(ctx, p, k)
		}
	}
}

// certain finds out beforehand whether a range keeps the version out, so that one
// application does not keep the others back.
func (f *following) certain(ctx context.Context, p Promotion, k known, current string) error {
	if v, ok := precedence.Parse(current); !ok || !v.AsRange().Range() {
		return nil
	}
	p.Application, p.Chart = k.called, k.selector
	i, err := f.draft.begin(p)
	if err == nil {
		_, err = apply(ctx, f.draft.tree(), i)
	}
	if fault.Of(err).Reason == versionRange {
		return err
	}
	return nil // what else is wrong is found when it is committed
}

// ask asks the gates for one application, by the name that records have.
func (f *following) ask(ctx context.Context, p Promotion, k known) {
	decision, err := f.decide(ctx, f.env, f.draft.target, p)
	p.Application, p.Chart = k.called, k.selector
	p.follows = true
	switch {
	case err != nil:
		f.results = append(f.results, p.result(f.env.Name).failed(err))
	case decision.Open():
		f.open = append(f.open, p)
	default:
		f.results = append(f.results, f.hold(ctx, f.draft.target, p, decision))
	}
}

// commit brings everything that may go now, at once.
func (f *following) commit(ctx context.Context) {
	var intents []Intent
	for _, p := range f.open {
		i, err := f.draft.begin(p)
		if err == nil {
			err = p.checkPublished(ctx, f.draft.tree(), i)
		}
		if err != nil {
			f.all(func(r Result, _ int) Result { return r.failed(err) })
			return
		}
		intents = append(intents, i)
	}
	m := Message{Changelog: f.Changelog, Trailers: []string{
		environmentTrailer + f.env.Name, "Lockstep-Source: " + f.source.environment.Repository + "@" + f.source.commit,
		"Lockstep-Run: " + f.Run, "Lockstep-Break-Glass: " + f.BreakGlass,
	}}
	landed, err := f.draft.land(ctx, f.Everywhere, m, f.draft.change(intents...))
	f.all(func(r Result, n int) Result {
		if err != nil {
			return r.failed(err)
		}
		r.Outcome, r.Commit, r.DryRun = landed.Applied[n].Outcome, landed.Commit, f.DryRun
		if n == 0 {
			r.Diff = landed.diff // it is one commit
		}
		return f.waits(ctx, f.open[n], r.heldBy(landed.Applied[n].Held))
	})
}

// waits keeps what a hold kept back.
func (f *following) waits(ctx context.Context, p Promotion, r Result) Result {
	if r.Outcome != Waiting {
		return r
	}
	held := f.hold(ctx, f.draft.target, p, environment.Decision{Closed: []environment.Closed{r.held}})
	held.Diff = r.Diff // of what is not held
	return held
}

// all makes the results of what is committed together.
func (f *following) all(result func(Result, int) Result) {
	for n, p := range f.open {
		f.results = append(f.results, result(p.result(f.env.Name), n))
	}
}
