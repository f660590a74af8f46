package promotion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/retry"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// Landing is a piece of work and where it shall go.
type Landing struct {
	Remote     *git.Remote
	Repository *git.Repository // holds what the work starts on; receives the branch's newer commits
	Branch     string          // full ref name
	Work       Work
	Message    Message
	Author     git.Signature
	Committer  git.Signature
	Key        *signature.Key // signs the commit; nil: nobody does
	// Patience bounds the attempts: how long races may be lost. 0: two minutes.
	Patience time.Duration
}

const defaultPatience = 2 * time.Minute

// Landed is where a change ended up.
type Landed struct {
	Commit  git.Hash // ours, or the tip at which nothing was left to do
	Outcome Outcome
	Applied []Applied
}

func (l Landed) warn(ctx context.Context) {
	for _, a := range l.Applied {
		a.Warn(ctx)
	}
}

// Land commits the work and pushes it by compare-and-swap. When somebody
// else was faster, it is replayed on the new tip; nothing is ever
// forced. It returns a Refused fault when that has no meaning any more, and a
// Retryable one when the race was lost for longer than Patience.
func Land(ctx context.Context, l Landing) (Landed, error) {
	if l.Patience <= 0 {
		l.Patience = defaultPatience
	}
	deadline := time.Now().Add(l.Patience)
	tip := l.Work.start()
	for attempt := 1; ; attempt++ {
		start := time.Now()
		landed, err := l.attempt(ctx, tip)
		if !errors.Is(err, git.ErrMoved) {
			landed.warn(ctx)
			return landed, err
		}
		if err := l.pause(ctx, deadline, attempt, time.Since(start)); err != nil {
			return Landed{}, err
		}
		if tip, err = l.fetchTip(ctx); err != nil {
			return Landed{}, err
		}
	}
}

// contention is the end of a race that was lost for too long.
func contention(branch string, remote *git.Remote, times int, patience time.Duration) error {
	return fault.Retryable("PushContention",
		fmt.Errorf("push %s to %s: the branch moved %d times in %s", branch, remote.URL(), times, patience),
		"Others push to this branch all the time. Try again, or raise the timeout.")
}

// attempt makes the commit on tip and pushes it.
func (l Landing) attempt(ctx context.Context, tip git.Hash) (Landed, error) {
	landed, err := l.draft(ctx, tip)
	if err != nil || landed.Commit == tip {
		return landed, err
	}
	if err := l.Remote.Push(ctx, l.Repository, git.Update{Ref: l.Branch, Old: tip, New: landed.Commit}); err != nil {
		return Landed{}, err
	}
	return landed, nil
}

// draft makes the commit on tip. Where nothing is to be done, it is the tip.
func (l Landing) draft(ctx context.Context, tip git.Hash) (Landed, error) {
	applied, files, err := l.Work.replay(ctx, l.Repository, tip)
	if err != nil {
		return Landed{}, err
	}
	commit, err := commitOn(l.Repository, tip, applied, files, l.Message, l.Author, l.Committer, l.Key)
	if err != nil {
		return Landed{}, err
	}
	if commit == tip {
		return Landed{Commit: tip, Outcome: nothingDone(applied), Applied: applied}, nil
	}
	return Landed{Commit: commit, Outcome: Promoted, Applied: applied}, nil
}

// commitOn makes the commit of what was applied; tip where that is nothing.
func commitOn(r *git.Repository, tip git.Hash, applied []Applied, files []git.File, m Message, author, committer git.Signature, key *signature.Key) (git.Hash, error) {
	if len(files) == 0 {
		return tip, nil
	}
	message, err := m.Compose(applied)
	if err != nil {
		return "", err
	}
	now := time.Now()
	author.When, committer.When = now, now
	return r.Commit(git.CommitOptions{
		Parent: tip, Files: files, Message: message, Author: author, Committer: committer, Key: key,
	})
}

// nothingDone tells why no commit was made.
func nothingDone(applied []Applied) Outcome {
	for _, why := range []Outcome{Waiting, Superseded} {
		if slices.ContainsFunc(applied, func(a Applied) bool { return a.Outcome == why }) {
			return why
		}
	}
	return Unchanged
}

func (l Landing) fetchTip(ctx context.Context) (git.Hash, error) {
	ref, err := l.Remote.Tip(ctx, l.Branch)
	if err != nil {
		return "", err
	}
	return ref.Hash, l.Remote.Fetch(ctx, l.Repository, ref, 1)
}

// pause waits before the next attempt: a random part of a window that starts
// at the time an attempt takes and doubles with each lost race. Many writers
// so spread over as much time as they need together; a lone one loses little.
// The window also shrinks with the time that is left, which gives those who
// have waited longest the most attempts: nobody starves.
func (l Landing) pause(ctx context.Context, deadline time.Time, attempt int, took time.Duration) error {
	left := time.Until(deadline)
	if left <= 0 {
		return contention(l.Branch, l.Remote, attempt, l.Patience)
	}
	wait := rand.N(window(attempt, took, left))
	slog.DebugContext(ctx, "the branch moved, replaying on the new tip", "branch", l.Branch, "attempt", attempt, "pause", wait)
	return retry.Sleep(ctx, wait)
}

// Bounds of the window that pauses are drawn from. The longest follows the
// server's speed: on a slow one, writers take turns more slowly.
const (
	firstWindow   = 20 * time.Millisecond
	longestWindow = 5 * time.Second
	longestTurns  = 16 // in attempts
	leftoverShare = 4  // of the time left, one part may be spent waiting
)

func window(attempt int, took, left time.Duration) time.Duration {
	w := max(took, firstWindow)
	longest := max(longestWindow, longestTurns*took)
	for range attempt - 1 {
		if w *= 2; w >= longest {
			break
		}
	}
	return max(min(w, longest, left/leftoverShare), time.Millisecond)
}
