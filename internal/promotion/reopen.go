package promotion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Reopen looks at what waits in the chosen environments, asks the gates again,
// and promotes what may go now. What came to something does not wait any more;
// what is still held back, or fails, does. The fields of the Promotion that say
// what is promoted are those of each that waits; the others hold for all.
func (e Everywhere) Reopen(ctx context.Context, chosen []environment.Environment) []Result {
	return e.each(ctx, chosen, e.reopen)
}

func (e *Everywhere) reopen(ctx context.Context, env environment.Environment, t Target) []Result {
	refs, err := t.Remote.Refs(ctx, WaitingRefs(env.Name))
	if err != nil {
		return []Result{Result{Environment: env.Name}.failed(err)}
	}
	results := make([]Result, 0, len(refs))
	for _, ref := range refs {
		results = append(results, e.reopenOne(ctx, env, t, ref))
	}
	return results
}

func (e *Everywhere) reopenOne(ctx context.Context, env environment.Environment, t Target, ref git.Ref) Result {
	kept, err := fetchWaiting(ctx, t.Remote, ref)
	if err != nil && !errors.Is(err, errNotReadable) {
		return Result{Environment: env.Name}.failed(err)
	}
	if err != nil {
		return Result{Environment: env.Name}.failed(fault.Refused("WaitingUnreadable", fmt.Errorf("%s of %s: %w", ref.Name, t.Remote.URL(), err),
			"Nobody but Lockstep writes there. Remove it: git push "+t.Remote.URL()+" --delete "+ref.Name))
	}
	p := kept.opened(e.Promotion)
	r := p.result(env.Name)
	if env.Promotion == environment.Never && p.BreakGlass == "" {
		return r.failed(fault.Refused("PromotionRefused", fmt.Errorf("promote to %s: its strategy is Never", env.Name), ""))
	}
	decision, err := e.decide(ctx, env, t, p)
	if err != nil {
		return r.failed(err)
	}
	if !decision.Open() {
		r.Outcome, r.Reason, r.DryRun = Waiting, decision.Reason(), e.DryRun
		return r
	}
	if e.DryRun {
		return e.land(ctx, t, p, r)
	}
	if r = e.deliver(ctx, env, t, p); r.Err != nil || r.Outcome == Waiting {
		return r
	}
	if err := drop(ctx, t.Remote, ref); err != nil {
		// The next time finds nothing to do, and drops it then.
		slog.WarnContext(ctx, "it is promoted and still waits", "ref", ref.Name, "error", err)
	}
	return r
}
