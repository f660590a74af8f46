package promotion

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// RollBackFailed makes one commit that brings back, in an environment that asks for it
// (its Rollback is Auto), all files as they were verified last, where the branch's tip
// was never verified and its deployment is on record as unhealthy. The versions that go
// are rejected, so that no automatic promotion brings them again; others may come. Where
// the branch has moved on, that commit's deployment decides. Where there is nothing to be
// done, or nothing to go back to that somebody has not decided otherwise, there are no
// results.
func (e Everywhere) RollBackFailed(ctx context.Context, env environment.Environment) ([]Result, error) {
	if env.Rollback != environment.Auto {
		return nil, nil
	}
	e.prepare(ctx)
	up := e.read[env.Name]()
	if up.err != nil {
		return nil, fmt.Errorf("read the deployment records of %s: %w", env.Name, up.err)
	}
	last, ok := environment.Last(up.records, env.Name, nil)
	if !ok || !last.Unhealthy || slices.ContainsFunc(up.records, func(r environment.Record) bool {
		return r.Commit == last.Commit && r.State == environment.Verified // what it needs is gone, not what it is
	}) {
		return nil, nil
	}
	e.Hold = NewHold(strings.TrimSpace("its deployment failed: "+last.Reason+" in run "+last.Run), e.Author)
	return e.each(ctx, []environment.Environment{env}, func(ctx context.Context, env environment.Environment, t Target) []Result {
		b := back{Everywhere: &e, env: env, to: LastVerified, reject: true}
		var err error
		if b.draft, err = t.fetch(ctx); err != nil {
			return []Result{e.result(env.Name).failed(err)}
		}
		if string(b.draft.tip.Hash) != last.Commit {
			return nil
		}
		results := b.everything(ctx)
		if err := results[0].Err; err != nil && fault.Of(err).Reason == nothingToRollBackTo {
			slog.WarnContext(ctx, "it stays as it is", "environment", env.Name, "reason", err)
			return nil
		}
		return results
	}), nil
}

// checkFree is a Refused fault nothingToRollBackTo where a person has decided about what
// would change: by a hold, or by rejecting what would come back.
func (w *restoration) checkFree(r *git.Repository, tip git.Hash, changed []Intent) error {
	h, file, err := holdsAt(CommitTree(r, tip), path.Join(w.target.Path, cmp.Or(w.target.File, chartFile)))
	if err != nil {
		return err
	}
	for _, one := range h.Holds {
		for _, change := range changed {
			if (one.Application == "" || one.Application == change.Alias) && (one.Version == "" || one.Version == change.To) {
				return fault.Refused(nothingToRollBackTo, fmt.Errorf("go back by itself: %s: %s", file, one.reason(change.Alias)), "Roll it back by hand: lockstep rollback.")
			}
		}
	}
	return nil
}
