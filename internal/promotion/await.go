package promotion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// Bounds of the pauses between two looks at a request.
const (
	firstLook   = 500 * time.Millisecond
	longestLook = 15 * time.Second
)

// beingMerged is why a request is looked at once more after the forge was asked to merge it.
const beingMerged = "it is being merged"

// await looks at the request until it is merged. A base that moved makes it
// build the branch anew when the forge would not merge it as it is.
func (w *proposer) await(ctx context.Context) (Proposed, error) {
	deadline := time.Now().Add(w.how.Wait)
	if last, ok := ctx.Deadline(); ok && last.Before(deadline) {
		deadline = last // the end of the wait says more than the end of the context
	}
	for pause := firstLook; ; pause = min(pause*3/2, longestLook) {
		done, why, err := w.look(ctx)
		switch {
		case err != nil && fault.Of(err).Kind != fault.KindRetryable:
			return Proposed{Request: w.proposed}, err
		case err != nil && ctx.Err() != nil:
			return Proposed{Request: w.proposed}, err
		case err != nil:
			why = err.Error() // the forge is down for a moment
		case done.Outcome != "":
			return done, nil
		}
		wait := pause/2 + rand.N(pause/2)
		if time.Now().Add(wait).After(deadline) {
			return Proposed{Request: w.proposed}, fault.Retryable("PullRequestNotMerged",
				fmt.Errorf("%s is not merged after %s: %s", w.proposed.URL, w.how.Wait, cmp.Or(why, "nobody has merged it")),
				"The request stays open. Merge it, or run this again to go on waiting.")
		}
		slog.DebugContext(ctx, "not merged yet", "request", w.proposed.URL, "why", why, "in", wait)
		if err := retry.Sleep(ctx, wait); err != nil {
			return Proposed{Request: w.proposed}, err
		}
	}
}

// look sees what became of the request, and merges it when it is ready and is
// to be merged. Without an outcome there is more to wait for: why says what.
func (w *proposer) look(ctx context.Context) (done Proposed, why string, err error) {
	request, err := w.forge.Get(ctx, w.proposed.Number)
	if err != nil {
		return Proposed{}, "", err
	}
	w.proposed = request
	switch {
	case request.Merged:
		return Proposed{Outcome: Promoted, Commit: git.Hash(request.MergedCommit), Request: request}, "", nil
	case !request.Open:
		return Proposed{}, "", fault.Refused("PullRequestClosed", fmt.Errorf("%s was %w", request.URL, forge.ErrClosed),
			"Somebody does not want this version. A newer one opens a new request.")
	case !request.Ready:
		return w.rebuild(ctx)
	case !strings.HasPrefix(string(w.built), request.Head):
		return w.changed(ctx)
	case !w.how.Merge:
		return Proposed{}, "it is ready", nil
	}
	if held, err := w.heldMeanwhile(ctx); err != nil || held.Outcome != "" {
		return held, "", err
	}
	err = w.forge.Merge(ctx, request, w.how.Method)
	if w.merging = !errors.Is(err, forge.ErrMerge); !w.merging {
		return Proposed{}, err.Error(), nil
	}
	return Proposed{}, beingMerged, err
}

// heldMeanwhile looks for a hold on the base that came after the request.
func (w *proposer) heldMeanwhile(ctx context.Context) (Proposed, error) {
	tip, err := w.target.Remote.Tip(ctx, w.base.Name)
	if err != nil || tip.Hash == w.on {
		return Proposed{}, err
	}
	if err := w.target.Remote.FetchTips(ctx, w.repository, tip.Hash); err != nil {
		return Proposed{}, err
	}
	held, err := w.heldIn(CommitTree(w.repository, tip.Hash))
	held.Request = w.proposed
	return held, err
}

// changed looks why the request has another commit than ours: the forge may not
// have seen the branch yet, a newer version may have taken it over, or somebody
// committed to it.
func (w *proposer) changed(ctx context.Context) (Proposed, string, error) {
	done, now, err := w.overtaken(ctx)
	if err != nil || done.Outcome != "" || now == w.built {
		return done, "the forge has not seen the branch yet", err
	}
	return Proposed{}, "", fault.Refused("PullRequestChanged", fmt.Errorf("the branch of %s is not at %s any more", w.proposed.URL, w.built.Short()),
		"Somebody committed to the branch. Merge the request by hand, or run this again to build the branch anew.")
}

// rebuild builds the branch anew when the base moved. Where the base has the
// version by now, that may be by this very request.
func (w *proposer) rebuild(ctx context.Context) (Proposed, string, error) {
	why := w.proposed.Why
	tip, err := w.target.Remote.Tip(ctx, w.base.Name)
	if err != nil || tip.Hash == w.on {
		return Proposed{}, why, err
	}
	number := w.proposed.Number
	done, err := w.open(ctx)
	if err != nil || done.Outcome == Opened {
		return Proposed{}, why, err
	}
	request, err := w.forge.Get(ctx, number)
	if err != nil {
		return Proposed{}, why, err
	}
	done.Request = request
	switch {
	case request.Merged:
		done.Outcome, done.Commit = Promoted, git.Hash(request.MergedCommit)
	case request.Open && w.merging:
		return Proposed{}, beingMerged, nil // a forge moves the branch first, and marks the request later
	}
	return done, why, nil
}
