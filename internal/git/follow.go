package git

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

// followTags brings the tags of commits that are here, as git clone does: git
// describe needs them.
func (r *Remote) followTags(ctx context.Context, into *Repository) error {
	tags, err := r.Refs(ctx, "refs/tags/")
	if errors.Is(err, wire.ErrProtocol) { // more than is kept in memory: the commit matters more
		slog.WarnContext(ctx, "the tags are left out", "reason", err)
		return nil
	}
	if err != nil {
		return err
	}
	var ours []Ref
	var lacking []Hash
	for _, tag := range tags {
		if !into.has(fromHash(tag.Commit())) {
			continue
		}
		ours = append(ours, tag)
		if !into.has(fromHash(tag.Hash)) {
			lacking = append(lacking, tag.Hash)
		}
	}
	if len(lacking) > 0 {
		err := r.try(ctx, func(ctx context.Context) error { return r.fetchOnce(ctx, into, 0, lacking...) })
		if err != nil {
			return r.explain(fmt.Errorf("fetch %d tags from %s: %w", len(lacking), r.URL(), err))
		}
	}
	for _, tag := range ours {
		if err := into.SetRef(tag.Name, tag.Hash); err != nil {
			return err
		}
	}
	return nil
}
