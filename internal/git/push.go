package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/wire"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// Push moves refs at the remote, sending the objects it lacks. Several
// updates happen all or none where the server can do that. The answers:
//
//   - nil: every ref is at New, or at a commit descending from it (also when
//     the server's answer was lost on the way and the ref was read again);
//   - ErrMoved: some ref was not at Old;
//   - ErrRefused, as a refused fault "PushRejected" with the server's words:
//     the ref is still at Old and the server does not want the update.
//
// A branch only ever moves forward: New must descend from Old, else
// ErrInvalid, unless the update says Rebuild. A tag never moves. Other refs may
// be replaced.
func (r *Remote) Push(ctx context.Context, from *Repository, updates ...Update) error {
	return r.push(ctx, from, nil, updates)
}

// Swap is Push of one ref that only the caller moves: the remote is not asked
// first where it is.
func (r *Remote) Swap(ctx context.Context, from *Repository, u Update) error {
	var opened *wire.Pushing
	err := r.try(ctx, func(ctx context.Context) (err error) {
		opened, err = r.client.PushKnown(ctx, map[string]string{u.Ref: hex(u.Old)})
		return err
	})
	if err != nil {
		return r.explain(fmt.Errorf("push %s to %s: %w", u.Ref, r.URL(), err))
	}
	return r.push(ctx, from, opened, []Update{u})
}

// push makes its first attempt in the opened conversation, if there is one.
func (r *Remote) push(ctx context.Context, from *Repository, opened *wire.Pushing, updates []Update) error {
	if err := from.checkUpdates(updates); err != nil {
		if opened != nil {
			_ = opened.Close()
		}
		return err
	}
	p := &push{remote: r, from: from, updates: updates, opened: opened}
	err := r.try(ctx, p.attempt)
	if err != nil {
		return r.explain(fmt.Errorf("push %s to %s: %w", p.names(), r.URL(), err))
	}
	return nil
}

func (r *Repository) checkUpdates(updates []Update) error {
	if len(updates) == 0 {
		return fault.Usage("NothingToPush", fmt.Errorf("push: %w: no updates", ErrInvalid), "")
	}
	for _, u := range updates {
		if err := checkRef(u.Ref); err != nil {
			return err
		}
		if strings.HasPrefix(u.Ref, "refs/tags/") && !u.Old.IsZero() && !u.New.IsZero() {
			return fault.Refused("TagExists", fmt.Errorf("push %s: %w: a tag never moves", u.Ref, ErrInvalid), "Name a branch for changes.")
		}
		if !strings.HasPrefix(u.Ref, "refs/heads/") || u.Old.IsZero() || u.New.IsZero() || u.Rebuild {
			continue
		}
		forward, err := r.Ancestor(u.Old, u.New)
		if err != nil {
			return err
		}
		if forward != Yes {
			return fmt.Errorf("push %s: %w: %s does not descend from %s, and nothing is ever forced",
				u.Ref, ErrInvalid, u.New.Short(), u.Old.Short())
		}
	}
	return nil
}

// push is one call of Push over its attempts.
type push struct {
	remote  *Remote
	from    *Repository
	updates []Update
	opened  *wire.Pushing // for the next attempt; nil: it opens its own
	// doubt: some attempt's answer was lost, so the refs may have moved by us.
	doubt bool
}

func (p *push) names() string {
	var names []string
	for _, u := range p.updates {
		names = append(names, u.Ref)
	}
	return strings.Join(names, ", ")
}

// attempt compares, then swaps. The server compares once more under its own
// lock. What a failure means is decided by reading the refs again, never by
// the server's words, which differ between servers, versions and languages.
func (p *push) attempt(ctx context.Context) error {
	session, err := p.session(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	todo, err := p.compare(ctx, func(ref string) Hash { return Hash(session.Ref(ref)) })
	if err != nil || len(todo) == 0 {
		return err
	}
	pack, err := p.from.packFor(todo, session.Has)
	if err != nil {
		return fmt.Errorf("collect objects: %w", err)
	}
	start := time.Now()
	report, err := session.Send(ctx, commands(todo), pack)
	if err != nil {
		return p.afterLoss(ctx, err)
	}
	if why := refusal(report, todo); why != nil {
		return p.afterRefusal(ctx, why, len(todo), time.Since(start))
	}
	return nil
}

func (p *push) session(ctx context.Context) (*wire.Pushing, error) {
	if opened := p.opened; opened != nil {
		p.opened = nil
		return opened, nil
	}
	wanted := func(name string) bool {
		return slices.ContainsFunc(p.updates, func(u Update) bool { return u.Ref == name })
	}
	return p.remote.client.Push(ctx, wanted, func(h string) bool { return p.from.has(fromHash(Hash(h))) })
}

func commands(updates []Update) []wire.Command {
	var all []wire.Command
	for _, u := range updates {
		all = append(all, wire.Command{Ref: u.Ref, Old: hex(u.Old), New: hex(u.New)})
	}
	return all
}

func hex(h Hash) string {
	if h.IsZero() {
		return string(Zero)
	}
	return string(h)
}

// compare holds the refs as they are against the updates and returns those
// that are still to be made. ErrMoved when one is neither at Old nor ours.
func (p *push) compare(ctx context.Context, at func(ref string) Hash) ([]Update, error) {
	var todo []Update
	for _, u := range p.updates {
		switch now := at(u.Ref); {
		case hex(now) == hex(u.New):
		case hex(now) == hex(u.Old):
			todo = append(todo, u)
		default:
			ours, err := p.ours(ctx, u, now)
			if err != nil {
				return nil, err
			}
			if !ours {
				return nil, fmt.Errorf("%w: it is at %s, not at %s", ErrMoved, now.Short(), Hash(hex(u.Old)).Short())
			}
		}
	}
	return todo, nil
}

// reread asks where the refs are now.
func (p *push) reread(ctx context.Context) (todo []Update, err error) {
	names := make([]string, len(p.updates))
	for i, u := range p.updates {
		names[i] = u.Ref
	}
	refs, err := p.remote.client.List(ctx, names...)
	if err != nil {
		return nil, err
	}
	at := map[string]Hash{}
	for _, ref := range refs {
		at[ref.Name] = Hash(ref.Hash)
	}
	return p.compare(ctx, func(ref string) Hash { return at[ref] })
}

// afterLoss: the server may have taken the push although we did not hear it.
func (p *push) afterLoss(ctx context.Context, lost error) error {
	var remote *wire.RemoteError
	if _, again := wire.Transient(lost); !again && !errors.As(lost, &remote) {
		return lost
	}
	p.doubt = true
	todo, err := p.reread(ctx)
	if err != nil {
		// The next attempt reads them as well; keep the cause that we know.
		if errors.Is(err, ErrMoved) {
			return err
		}
		return lost
	}
	if len(todo) == 0 {
		return nil
	}
	return lost
}

// afterRefusal tells a race from a refusal of so many updates. Where others made
// some of them meanwhile, the same ones, an atomic push was refused for those:
// the rest is tried again, and it gets less each time. Some servers, JGit among
// them, refuse while another push still holds the lock, before the ref moves; so
// a ref that has not moved is looked at again when such a push has had the time
// that ours took, and several times that.
func (p *push) afterRefusal(ctx context.Context, why error, refused int, took time.Duration) error {
	const looks = 4
	pause := max(took, shortestLook)
	for look := range looks {
		if look > 0 {
			if err := retry.Sleep(ctx, min(pause, longestLook)); err != nil {
				return err
			}
			pause *= 2
		}
		todo, err := p.reread(ctx)
		switch {
		case err != nil:
			return err
		case len(todo) == 0:
			return nil
		case len(todo) < refused:
			return p.attempt(ctx)
		}
	}
	return fault.Refused("PushRejected", fmt.Errorf("%w: %w", ErrRefused, why),
		"The ref has not moved: the host does not want this change. Check branch protection, hooks and the account's rights.")
}

// How long after a refusal the ref is looked at again, at least and at most.
const (
	shortestLook = 100 * time.Millisecond
	longestLook  = 2 * time.Second
)

// refusal is what the server says against the push, nil when it took it all.
func refusal(report *wire.Report, updates []Update) error {
	var text []string
	if report.Unpack != "ok" {
		text = append(text, "unpack: "+report.Unpack)
	}
	for _, u := range updates {
		if why, told := report.Refs[u.Ref]; !told {
			text = append(text, u.Ref+": no answer")
		} else if why != "" {
			text = append(text, u.Ref+": "+why)
		}
	}
	if len(text) == 0 {
		return nil
	}
	if report.Words != "" {
		text = append(text, report.Words)
	}
	return errors.New(strings.Join(slices.Compact(text), "; "))
}

// ours decides whether a ref that is neither at Old nor at New got there by
// way of New: after an answer was lost, somebody may have pushed on top.
func (p *push) ours(ctx context.Context, u Update, now Hash) (bool, error) {
	if !p.doubt || u.New.IsZero() || now.IsZero() {
		return false, nil
	}
	const deep = 64
	scratch := NewMemory()
	scratch.pretend = []string{string(u.New)}
	if !u.Old.IsZero() {
		scratch.pretend = append(scratch.pretend, string(u.Old))
	}
	if err := p.remote.fetchOnce(ctx, scratch, deep, now); err != nil {
		return false, err
	}
	answer, err := scratch.Ancestor(u.New, now)
	return answer == Yes, err
}
