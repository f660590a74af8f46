package git

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Resolve finds what a revision means: the commit of 40 digits, or a ref as git
// fetch takes it. A tag stands in front of a branch of the same name, which is
// warned of. Where a branch is meant, Tip or a full name is right.
func (r *Remote) Resolve(ctx context.Context, revision string) (Ref, error) {
	if h, ok := ParseHash(revision); ok {
		return Ref{Hash: h}, nil
	}
	names, err := meanings(revision)
	if err != nil {
		return Ref{}, err
	}
	if len(names) < 2 {
		return r.Tip(ctx, revision)
	}
	var found []Ref
	err = r.try(ctx, func(ctx context.Context) (err error) {
		found, err = r.named(ctx, names)
		return err
	})
	if errors.Is(err, ErrNotFound) && len(revision) >= 7 && strings.Trim(revision, "0123456789abcdef") == "" {
		err = fault.Refused("RevisionNotFound", err, "A commit must be given with all its 40 digits.")
	}
	if err != nil {
		return Ref{}, r.explain(fmt.Errorf("find %s in %s: %w", revision, r.URL(), err))
	}
	if len(found) > 1 {
		slog.WarnContext(ctx, "the revision is ambiguous; pass a full name", "revision", revision, "taken", found[0].Name, "other", found[1].Name)
	}
	return found[0], nil
}

// named are the refs with one of the names, in their order, at least one.
func (r *Remote) named(ctx context.Context, names []string) ([]Ref, error) {
	listed, err := r.client.List(ctx, names...)
	if err != nil {
		return nil, err
	}
	var found []Ref
	for _, l := range listed {
		if slices.Contains(names, l.Name) {
			found = append(found, Ref{Name: l.Name, Hash: Hash(l.Hash), Peeled: Hash(l.Peeled)})
		}
	}
	if len(found) == 0 {
		return nil, r.missing(ctx, names[0])
	}
	slices.SortFunc(found, func(a, b Ref) int { return slices.Index(names, a.Name) - slices.Index(names, b.Name) })
	return found, nil
}

// meanings are the full names that a revision may stand for, in the order of
// gitrevisions(7): tags/v1 is refs/tags/v1. "" means the remote's HEAD.
func meanings(revision string) ([]string, error) {
	names, err := candidates(revision)
	if err != nil || len(names) < 2 {
		return names, err
	}
	slices.Reverse(names)
	if strings.Contains(revision, "/") {
		names = append([]string{"refs/" + revision}, names...)
	}
	return names, nil
}
