package git

import (
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Log walks back from a commit along first parents, newest first, until
// visit returns false or the local history ends.
func (r *Repository) Log(from Hash, visit func(CommitInfo) bool) error {
	for h := from; !h.IsZero(); {
		info, err := r.Info(h)
		if errors.Is(err, ErrNotFound) && h != from {
			return nil // the history is cut here
		}
		if err != nil {
			return err
		}
		if !visit(info) || len(info.Parents) == 0 {
			return nil
		}
		h = info.Parents[0]
	}
	return nil
}

// Ancestor decides whether a is an ancestor of b (or b itself), as far as
// the local history reaches.
func (r *Repository) Ancestor(a, b Hash) (Ancestry, error) {
	answer := No
	err := r.reachable([]plumbing.Hash{fromHash(b)}, func(h plumbing.Hash, c *object.Commit) bool {
		if h == fromHash(a) {
			answer = Yes
			return false
		}
		if c == nil && answer == No {
			answer = Unknown
		}
		return answer != Yes
	})
	if err != nil {
		return Unknown, fmt.Errorf("is %s an ancestor of %s: %w", a.Short(), b.Short(), err)
	}
	return answer, nil
}

// reachable visits commits and their ancestors once each. The commit is nil
// where it is not here. visit answers whether to go on to the parents; the
// walk goes on with others.
func (r *Repository) reachable(from []plumbing.Hash, visit func(plumbing.Hash, *object.Commit) bool) error {
	seen := map[plumbing.Hash]bool{}
	for queue := from; len(queue) > 0; {
		h := queue[0]
		queue = queue[1:]
		if seen[h] {
			continue
		}
		seen[h] = true
		c, err := object.GetCommit(r.store, h)
		if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) {
			return err
		}
		if err != nil {
			visit(h, nil)
			continue
		}
		if visit(h, c) {
			queue = append(queue, c.ParentHashes...)
		}
	}
	return nil
}
