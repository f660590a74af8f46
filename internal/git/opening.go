package git

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

// Opening is a push that has begun: the remote has said where its refs are, and
// hears next what is to be moved. What lies in between, such as the fetch of
// the tip that was told, costs no further question.
type Opening struct {
	remote  *Remote
	session *wire.Pushing
	tip     Ref
}

// Open begins a push to a branch ("": the one that HEAD points to), and learns
// where that is, and the refs whose names start with prefix. Errors are those
// of Tip. The Opening is to be closed.
func (r *Remote) Open(ctx context.Context, branch, prefix string) (*Opening, error) {
	names, err := candidates(BranchRef(branch))
	if err != nil {
		return nil, err
	}
	var o *Opening
	err = r.try(ctx, func(ctx context.Context) error {
		o, err = r.open(ctx, names, prefix)
		return err
	})
	if err != nil {
		return nil, r.explain(fmt.Errorf("find %s in %s: %w", nameOf(branch), r.URL(), err))
	}
	return o, nil
}

// open asks both services at once: the one that takes pushes for its refs, and
// the one that hands out commits for what a fetch needs to know. Only the
// latter knows where HEAD points.
func (r *Remote) open(ctx context.Context, names []string, prefix string) (*Opening, error) {
	type head struct {
		ref Ref
		err error
	}
	// Which branch HEAD points to is not known while the refs pass by. What is
	// kept for that is bounded; behind it, the branch is asked for by name.
	const mostHeads = 1000
	heads := 0
	asked := make(chan head, 1)
	go func() {
		if len(names) > 0 {
			asked <- head{err: r.client.Greet(ctx)}
			return
		}
		ref, err := r.tip(ctx, nil)
		asked <- head{ref, err}
	}()
	wanted := func(name string) bool {
		if len(names) == 0 && strings.HasPrefix(name, "refs/heads/") {
			heads++
			return heads <= mostHeads
		}
		return slices.Contains(names, name) || strings.HasPrefix(name, prefix)
	}
	session, err := r.client.Push(ctx, wanted, func(string) bool { return false })
	found := <-asked
	if err != nil {
		return nil, err
	}
	o := &Opening{remote: r, session: session}
	if err := found.err; err != nil {
		o.Close()
		return nil, err
	}
	here := names
	if len(names) == 0 {
		here = []string{found.ref.Name}
	}
	for _, name := range here {
		if hash := Hash(session.Ref(name)); !hash.IsZero() {
			o.tip = Ref{Name: name, Hash: hash}
			return o, nil
		}
	}
	o.Close()
	if len(names) == 0 && heads > mostHeads {
		return r.open(ctx, here, prefix)
	}
	return nil, r.missing(ctx, here[0])
}

// Tip is where the branch is.
func (o *Opening) Tip() Ref { return o.tip }

// Refs are those with the prefix, sorted by name.
func (o *Opening) Refs(prefix string) []Ref {
	var refs []Ref
	for name, hash := range o.session.Refs() {
		if strings.HasPrefix(name, prefix) && checkRef(name) == nil {
			refs = append(refs, Ref{Name: name, Hash: Hash(hash)})
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
	return refs
}

// Atomic reports whether the remote makes several updates all or none.
func (o *Opening) Atomic() bool { return o.session.Atomic() }

// Push is Remote.Push in this conversation, which it ends.
func (o *Opening) Push(ctx context.Context, from *Repository, updates ...Update) error {
	session := o.session
	o.session = nil
	return o.remote.push(ctx, from, session, updates)
}

// Close ends the conversation, if Push has not.
func (o *Opening) Close() {
	if o.session != nil {
		_ = o.session.Close()
	}
}
