package git

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/clock"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

// Remote is a repository elsewhere and the means to reach it. It may be used
// by several goroutines.
type Remote struct {
	address address
	access  Access
	keys    *keyring
	client  *wire.Client
	clock   *clock.Server
	raceFor time.Duration // how long notes are written in a race
}

// NewRemote checks the URL (https, http, ssh, user@host:path, file, or a
// plain path) and takes credentials out of it. Nothing is contacted. A URL
// that cannot be right gives ErrInvalid as a usage fault.
func NewRemote(url string, a Access) (*Remote, error) {
	shown, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	keys, err := newKeyring(shown, a)
	if err != nil {
		return nil, err
	}
	server := &clock.Server{}
	transport, err := newTransport(keys, a, server)
	if err != nil {
		return nil, err
	}
	return &Remote{address: shown, access: a, keys: keys, client: &wire.Client{Transport: transport}, clock: server, raceFor: raceFor}, nil
}

// URL is where the remote is, without user and password: fit to be stored,
// shown and logged. An SSH user stays, since it is part of the address.
func (r *Remote) URL() string { return r.address.text }

// Tip finds one ref. ref is "" for the remote's HEAD, a branch ("main"), a
// tag ("v1"; a branch of the same name wins), or a full name ("refs/…").
// ErrNotFound when there is none, ErrEmptyRepository when there is no ref at all.
func (r *Remote) Tip(ctx context.Context, ref string) (Ref, error) {
	names, err := candidates(ref)
	if err != nil {
		return Ref{}, err
	}
	var tip Ref
	err = r.try(ctx, func(ctx context.Context) error {
		tip, err = r.tip(ctx, names)
		return err
	})
	if err != nil {
		return Ref{}, r.explain(fmt.Errorf("find %s in %s: %w", nameOf(ref), r.URL(), err))
	}
	return tip, nil
}

func nameOf(ref string) string {
	if ref == "" {
		return "the default branch"
	}
	return ref
}

func (r *Remote) tip(ctx context.Context, names []string) (Ref, error) {
	listed, err := r.client.List(ctx, append([]string{"HEAD"}, names...)...)
	if err != nil {
		return Ref{}, err
	}
	if len(names) == 0 {
		return r.defaultBranch(ctx, listed)
	}
	for _, name := range names {
		for _, l := range listed {
			if l.Name == name {
				return Ref{Name: l.Name, Hash: Hash(l.Hash), Peeled: Hash(l.Peeled)}, nil
			}
		}
	}
	return Ref{}, r.missing(ctx, names[0])
}

// defaultBranch is the branch that HEAD points to.
func (r *Remote) defaultBranch(ctx context.Context, listed []wire.Ref) (Ref, error) {
	for _, l := range listed {
		if l.Name == "HEAD" && l.Hash != "unborn" {
			name := l.Target
			if !strings.HasPrefix(name, "refs/") || checkRef(name) != nil {
				name = "" // a detached HEAD: its commit counts
			}
			return Ref{Name: name, Hash: Hash(l.Hash)}, nil
		}
	}
	return Ref{}, r.missing(ctx, "HEAD")
}

// missing says why a ref is not there, and which branches are.
func (r *Remote) missing(ctx context.Context, name string) error {
	branches, err := r.client.List(ctx, "refs/heads/")
	if err != nil {
		return err
	}
	if len(branches) == 0 {
		return fault.Refused("EmptyRepository", ErrEmptyRepository, "Push a first commit to it.")
	}
	var known []string
	for _, b := range branches[:min(len(branches), 10)] {
		known = append(known, strings.TrimPrefix(b.Name, "refs/heads/"))
	}
	if len(branches) > len(known) {
		known = append(known, "…")
	}
	if name == "HEAD" {
		return fault.Refused("RevisionNotFound", fmt.Errorf("HEAD points to no branch: %w", ErrNotFound),
			"Set the repository's default branch, or name a branch: "+strings.Join(known, ", "))
	}
	return fault.Refused("RevisionNotFound", ErrNotFound, "Its branches are: "+strings.Join(known, ", "))
}

// Refs lists the refs whose full names start with one of the prefixes, sorted
// by name. None is no error.
func (r *Remote) Refs(ctx context.Context, prefixes ...string) ([]Ref, error) {
	for _, prefix := range prefixes {
		if !strings.HasPrefix(prefix, "refs/") || strings.ContainsFunc(prefix, isControl) {
			return nil, fault.Usage("InvalidRevision", fmt.Errorf("%w ref prefix %.100q", ErrInvalid, prefix), "")
		}
	}
	var listed []wire.Ref
	err := r.try(ctx, func(ctx context.Context) (err error) {
		listed, err = r.client.List(ctx, prefixes...)
		return err
	})
	if err != nil {
		return nil, r.explain(fmt.Errorf("list %s* of %s: %w", strings.Join(prefixes, "*, "), r.URL(), err))
	}
	var refs []Ref
	for _, l := range listed {
		if checkRef(l.Name) == nil { // a hostile server's names end here
			refs = append(refs, Ref{Name: l.Name, Hash: Hash(l.Hash), Peeled: Hash(l.Peeled)})
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
	return refs, nil
}
