package promotion

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git"
)

// What a writer does with a request of its own: it leaves it, looks whether it
// is its turn, finds the commit that it became, or takes it back.

// ours are the requests that were made with our credential and by writers who
// sign with our key, as we do, oldest first.
func (w *writer) ours(refs []git.Ref) []git.Ref {
	prefix := requestsOf(w.branch)
	return slices.DeleteFunc(refs, func(r git.Ref) bool {
		id, ok := strings.CutPrefix(r.Name, prefix)
		return !ok || !believed(w.target.Remote, scope(w.branch, w.Key), id)
	})
}

// join leaves our request behind so many others.
func (w *writer) join(ctx context.Context, ahead int, start time.Time) error {
	remote := w.target.Remote
	now, _ := remote.Now()
	id, _ := newID(remote, scope(w.branch, w.Key), now)
	r := request{ID: id, Branch: w.branch, Made: now, Intent: w.intent, Message: w.message(w.target), Author: w.Author, Key: w.Key.ID()}
	r.Message.Trailers = append(r.Message.Trailers, requestTrailer+": "+id)
	commit, err := r.write(remote, w.repository, w.Key)
	if err != nil {
		return err
	}
	ref := git.Ref{Name: requestsOf(w.branch) + id, Hash: commit}
	w.mine, w.front = &ref, ""
	switch err := remote.Swap(ctx, w.repository, git.Update{Ref: ref.Name, Old: git.Zero, New: commit}); {
	case errors.Is(err, git.ErrRefused):
		slog.DebugContext(ctx, "the remote takes no requests", "ref", ref.Name, "reason", err)
		w.mine, w.alone = nil, true
	case err != nil:
		return err
	default:
		w.wait(ahead, start)
	}
	return errNotYet
}

// look sees what became of our request. An answer without an outcome says that
// it is our turn.
func (w *writer) look(ctx context.Context, start time.Time) (Landed, error) {
	refs, err := w.target.Remote.Refs(ctx, w.branch, requestsOf(w.branch))
	if err != nil {
		return Landed{}, err
	}
	var tip git.Hash
	for _, r := range refs {
		if r.Name == w.branch {
			tip = r.Hash
		}
	}
	requests := w.ours(refs)
	place := slices.Index(requests, *w.mine)
	if place < 0 {
		return w.find(ctx, tip)
	}
	if front := string(tip) + requests[0].Name; front != w.front {
		w.front, w.frontSince = front, time.Now()
	}
	patience := max(standstill, standstillTurns*time.Since(start)) + time.Duration(min(len(requests), mostRequests))*standstillPerRequest
	if place == 0 || time.Since(w.frontSince) > patience {
		return Landed{}, nil
	}
	w.wait(place, start)
	return Landed{}, errNotYet
}

// wait sets the time until we look again: the more requests are ahead, the
// longer, and never all of us at once.
func (w *writer) wait(ahead int, start time.Time) {
	usual := time.Since(start) + time.Duration(ahead)*perRequest
	w.pause = usual/2 + rand.N(usual)
}

// find looks for the commit that carried our request out. Where there is none,
// whoever took the request found it to be superseded, or too old; or the branch
// was reset: we begin again. A server lists its refs one after the other, so that the
// tip may be older than the absence of the request: then a newer one tells.
func (w *writer) find(ctx context.Context, tip git.Hash) (Landed, error) {
	commit, err := w.carried(ctx, tip)
	if err != nil {
		return Landed{}, err
	}
	if commit == "" {
		now, err := w.target.Remote.Tip(ctx, w.branch)
		if err != nil {
			return Landed{}, err
		}
		if now.Hash != tip {
			if commit, err = w.carried(ctx, now.Hash); err != nil {
				return Landed{}, err
			}
		}
	}
	w.mine = nil
	if commit != "" {
		return Landed{Commit: commit, Outcome: Promoted, Applied: []Applied{{Intent: w.intent, Outcome: Promoted}}}, nil
	}
	w.begun, w.found = false, true
	return Landed{}, errNotYet
}

// carried is the commit below a tip that our request became; "" where there is none.
func (w *writer) carried(ctx context.Context, tip git.Hash) (git.Hash, error) {
	id := strings.TrimPrefix(w.mine.Name, requestsOf(w.branch))
	commits, err := w.target.Remote.Since(ctx, w.before, tip, mostCommits)
	for _, c := range commits {
		if strings.Contains(c.Message, "\n"+requestTrailer+": "+id+"\n") {
			return c.Hash, nil
		}
	}
	return "", err
}

// takeBack deletes our request when nobody waits for it any more.
func (w *writer) takeBack(ctx context.Context) {
	if w.mine == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackFor)
	defer cancel()
	err := w.target.Remote.Swap(ctx, w.repository, git.Update{Ref: w.mine.Name, Old: w.mine.Hash, New: git.Zero})
	if err != nil {
		slog.DebugContext(ctx, "a request stays behind", "ref", w.mine.Name, "reason", err)
	}
}
