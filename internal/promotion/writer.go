package promotion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// writer brings one promotion onto a branch that many may write to at the same
// time. Alone, it fetches the tip, commits on it and pushes by compare-and-swap.
// Where others are at it, it leaves a request in the repository, and whoever
// comes next takes all requests along in one push: one commit for each, and in
// the same atomic step the requests' refs are deleted. So a request is there
// exactly as long as it is not carried out, whoever dies at whatever moment,
// and nothing but the repository is shared. Which writer goes next is only a
// matter of manners: the one with the oldest request; when nothing moves,
// because that one died, everybody.
type writer struct {
	Promotion
	target Target
	// repository holds the tips that were seen.
	repository *git.Repository
	branch     string // full name, once it is known
	intent     Intent // with From, once begun
	begun      bool
	// applied is what the intent came to on the tip on, when it was begun: the
	// chart of a large environment takes longer to read than the rest takes.
	applied Applied
	on      git.Hash

	mine   *git.Ref // our request, while it is at the remote
	before git.Hash // where the branch was when it was not yet there
	lost   int      // races
	found  bool     // that a request of ours came to nothing
	// alone: our credential makes no seals, or the remote takes no requests, or
	// does not carry one out and delete it in one step.
	alone bool
	pause time.Duration

	front      string    // tip and first request as they were seen
	frontSince time.Time // since then
}

// errNotYet: nothing is decided; ask again after writer.pause.
var errNotYet = errors.New("not yet")

const (
	// standstill is how long nothing may move before a writer stops waiting for
	// the one before it, at least and in attempts; and what each request adds that
	// the one before it has to fetch, to commit and to push. All who stop waiting
	// do the same work at once, and the server that much more of it.
	standstill           = 2 * time.Second
	standstillTurns      = 8
	standstillPerRequest = 200 * time.Millisecond
	// perRequest is what a request ahead adds to the time before we look again.
	perRequest = 20 * time.Millisecond
	// mostCommits bounds how far back a writer looks for its commit.
	mostCommits = 1000
	// takeBackFor bounds the time in which a writer that gives up takes its
	// request back.
	takeBackFor = 9 * time.Second
)

func (w *writer) run(ctx context.Context) (Landed, error) {
	defer w.takeBack(ctx)
	_, seals := w.target.Remote.Seal(nil)
	w.alone = !seals
	patience := cmp.Or(w.Patience, defaultPatience)
	deadline := time.Now().Add(patience)
	for attempt := 1; ; attempt++ {
		start := time.Now()
		w.pause = 0
		landed, err := w.attempt(ctx, start)
		moved := errors.Is(err, git.ErrMoved)
		if !moved && !errors.Is(err, errNotYet) {
			landed.warn(ctx)
			return landed, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return Landed{}, contention(w.branch, w.target.Remote, attempt, patience)
		}
		if moved {
			w.lost++
			switch took := time.Since(start); {
			case w.alone:
				w.pause = rand.N(window(w.lost, took, left))
			case w.mine != nil:
				// Whoever was faster took our request along, or goes next: a look tells,
				// which is cheap. To draw back as for a push would leave nobody in front.
				w.pause = rand.N(max(min(took, standstill), firstWindow))
			}
		}
		slog.DebugContext(ctx, "not landed yet", "branch", w.branch, "attempt", attempt, "request", w.mine != nil, "moved", moved, "pause", w.pause)
		if err := retry.Sleep(ctx, min(w.pause, left)); err != nil {
			return Landed{}, err
		}
	}
}

// attempt looks where things stand and does what is to be done.
func (w *writer) attempt(ctx context.Context, start time.Time) (Landed, error) {
	if w.mine != nil {
		if landed, err := w.look(ctx, start); landed.Outcome != "" || err != nil {
			return landed, err
		}
	} else if w.begun && w.lost > 0 && !w.alone {
		return Landed{}, w.join(ctx, 0, start) // whoever is overtaken once is not alone
	}
	opening, err := w.target.Remote.Open(ctx, cmp.Or(w.branch, w.target.Branch), requestsPrefix)
	if err != nil {
		return Landed{}, err
	}
	defer opening.Close()
	tip := opening.Tip()
	w.branch, w.alone = tip.Name, w.alone || !opening.Atomic()
	requests := w.ours(opening.Refs(requestsOf(w.branch)))
	switch {
	case w.mine == nil:
		w.before = tip.Hash
	case !slices.Contains(requests, *w.mine):
		return w.find(ctx, tip.Hash)
	}
	if w.mine != nil || len(requests) == 0 || w.alone {
		return w.lead(ctx, opening, requests)
	}
	if w.blind() {
		if w.intent, err = w.Promotion.intent(w.target); err != nil {
			return Landed{}, err
		}
	} else if landed, err := w.begin(ctx, tip.Hash); landed.Outcome != "" || err != nil {
		return landed, err
	}
	return Landed{}, w.join(ctx, len(requests), start)
}

// blind reports whether a request can be made without a look at the branch:
// nothing of it goes into the request, and if it comes to nothing, we look then.
func (w *writer) blind() bool { return !w.begun && !w.found && !w.Exact && w.Published == nil }

// begin fetches the tip, and others with it, and holds the promotion against it
// when it is the first: there may be nothing to do, and then that is the answer.
// The From that is found there is what later tips are held against.
func (w *writer) begin(ctx context.Context, tip git.Hash, others ...git.Hash) (Landed, error) {
	if err := w.target.Remote.FetchTips(ctx, w.repository, append(others, tip)...); err != nil || w.begun {
		return Landed{}, err
	}
	tree := CommitTree(w.repository, tip)
	applied, err := w.first(ctx, tree, w.target)
	if err != nil {
		return Landed{}, err
	}
	if applied.Outcome != Promoted {
		return Landed{Commit: tip, Outcome: applied.Outcome, Applied: []Applied{applied}}, nil
	}
	if err := w.checkPublished(ctx, tree, applied.Intent); err != nil {
		return Landed{}, err
	}
	w.intent, w.begun = applied.Intent, true
	w.applied, w.on = applied, tip
	return Landed{}, nil
}

// lead commits our promotion and the requests, and pushes all of it at once.
func (w *writer) lead(ctx context.Context, opening *git.Opening, requests []git.Ref) (Landed, error) {
	if w.alone {
		requests = nil
	}
	requests = requests[:min(len(requests), mostRequests)]
	var others []git.Hash
	for _, r := range requests {
		others = append(others, r.Hash)
	}
	tip := opening.Tip().Hash
	if landed, err := w.begin(ctx, tip, others...); landed.Outcome != "" || err != nil {
		return landed, err
	}
	own, err := w.apply(ctx, tip)
	if err != nil {
		return Landed{}, err
	}
	commit, err := w.commit(tip, own, w.message(w.target), w.Author)
	if err != nil {
		return Landed{}, err
	}
	landed := Landed{Commit: commit, Outcome: own.Outcome, Applied: []Applied{own}}
	var taken []git.Update
	head, mine := commit, w.mine
	for _, ref := range requests {
		if w.mine != nil && ref == *w.mine {
			mine = nil
		} else {
			next, ok, err := w.carryOut(ctx, head, ref)
			if err != nil {
				return Landed{}, err
			}
			if !ok {
				continue
			}
			head = next
		}
		taken = append(taken, git.Update{Ref: ref.Name, Old: ref.Hash, New: git.Zero})
	}
	if head != tip {
		taken = append([]git.Update{{Ref: w.branch, Old: tip, New: head}}, taken...)
	}
	if len(taken) == 0 {
		return landed, nil
	}
	err = opening.Push(ctx, w.repository, taken...)
	if errors.Is(err, git.ErrRefused) && len(requests) > 0 {
		w.alone = true // it may be the requests that were refused, and not the branch
		return Landed{}, errNotYet
	}
	if err != nil {
		return Landed{}, err
	}
	w.mine = mine
	return landed, nil
}

// apply carries our own intent out on a commit.
func (w *writer) apply(ctx context.Context, on git.Hash) (Applied, error) {
	if on == w.on {
		return w.applied, nil
	}
	return w.applyOn(ctx, on, w.intent)
}

func (w *writer) applyOn(ctx context.Context, on git.Hash, i Intent) (Applied, error) {
	applied, err := Apply(ctx, CommitTree(w.repository, on), i)
	if err != nil {
		return Applied{}, fmt.Errorf("on %s: %w", on.Short(), err)
	}
	return applied, nil
}

// commit commits what was applied on a commit. Where nothing is to be done, the
// answer is that commit.
func (w *writer) commit(on git.Hash, applied Applied, m Message, author git.Signature) (git.Hash, error) {
	return commitOn(w.repository, on, []Applied{applied}, filesOf([]Applied{applied}), m, author, w.Committer, w.Key)
}

// carryOut commits another writer's request on head. ok is false for a request
// that is none of ours to touch. One that cannot be carried out, or came too
// late, leaves head as it is and is taken all the same: its writer looks why.
func (w *writer) carryOut(ctx context.Context, head git.Hash, ref git.Ref) (next git.Hash, ok bool, err error) {
	remote := w.target.Remote
	r, err := readRequest(remote, w.repository, w.branch, ref, w.Key)
	if errors.Is(err, errNotBelieved) {
		slog.WarnContext(ctx, "a request is left alone", "ref", ref.Name, "reason", err)
		return head, false, nil
	}
	if err != nil {
		return head, false, err
	}
	if now, _ := remote.Now(); now.Sub(r.Made) > requestLife {
		slog.WarnContext(ctx, "a request of a writer that died is dropped", "ref", ref.Name, "made", r.Made)
		return head, true, nil
	}
	applied, err := w.applyOn(ctx, head, r.Intent)
	if err == nil {
		next, err = w.commit(head, applied, r.Message, r.Author)
	}
	if err != nil {
		slog.DebugContext(ctx, "a request cannot be carried out", "ref", ref.Name, "reason", err)
		return head, true, nil
	}
	return next, true, nil
}
