package git

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// packFor makes the pack for some updates: what their new values need and the
// remote lacks. remote tells whether a ref of the remote points to a commit.
// nil when the updates only delete.
func (r *Repository) packFor(updates []Update, remote func(hash string) bool) ([]byte, error) {
	var roots []plumbing.Hash
	known := map[plumbing.Hash]bool{}
	for _, u := range updates {
		if !u.New.IsZero() {
			roots = append(roots, fromHash(u.New))
		}
		known[fromHash(u.Old)] = true
	}
	if len(roots) == 0 {
		return nil, nil
	}
	// Where our history is cut is a commit that a remote gave us.
	shallow, err := r.store.Shallow()
	if err != nil {
		return nil, err
	}
	for _, h := range shallow {
		known[h] = true
	}
	m := &missing{repo: r, there: map[plumbing.Hash]bool{}, known: func(h plumbing.Hash) bool {
		return known[h] || remote(h.String())
	}}
	for _, h := range roots {
		if err := m.add(h); err != nil {
			return nil, err
		}
	}
	var pack bytes.Buffer
	if _, err := packfile.NewEncoder(&pack, r.store, false).Encode(m.objects, 0); err != nil {
		return nil, fmt.Errorf("make pack: %w", err)
	}
	return pack.Bytes(), nil
}

// missing collects the objects that the remote lacks.
type missing struct {
	repo    *Repository
	known   func(plumbing.Hash) bool // commits that the remote has, with all below
	there   map[plumbing.Hash]bool   // objects that need not be looked at again
	objects []plumbing.Hash
}

func (m *missing) take(h plumbing.Hash) bool {
	if m.there[h] {
		return false
	}
	m.there[h] = true
	m.objects = append(m.objects, h)
	return true
}

// add starts from a ref's new value: a commit or an annotated tag.
func (m *missing) add(root plumbing.Hash) error {
	encoded, err := m.repo.store.EncodedObject(plumbing.AnyObject, root)
	if err != nil {
		return fmt.Errorf("object %s: %w", root, notFound(err))
	}
	switch encoded.Type() {
	case plumbing.TagObject:
		tag, err := object.DecodeTag(m.repo.store, encoded)
		if err != nil {
			return err
		}
		m.take(root)
		return m.add(tag.Target)
	case plumbing.CommitObject:
		return m.commits(root)
	}
	m.take(root)
	return nil
}

// commits takes the commits from root back to what the remote knows.
func (m *missing) commits(root plumbing.Hash) error {
	var fresh, edge []*object.Commit
	err := m.repo.reachable([]plumbing.Hash{root}, func(h plumbing.Hash, c *object.Commit) bool {
		switch {
		case c == nil:
			return false
		case m.known(h):
			edge = append(edge, c)
			return false
		}
		fresh = append(fresh, c)
		return true
	})
	if err != nil {
		return err
	}
	for _, c := range edge {
		if err := m.ignore(c.TreeHash, fresh); err != nil {
			return err
		}
	}
	slices.Reverse(fresh) // oldest first, so that later ones find most done
	for _, c := range fresh {
		if m.take(c.Hash) {
			if err := m.tree(c.TreeHash); err != nil {
				return err
			}
		}
	}
	return nil
}

// ignore marks a tree of the remote's, as deep as the new commits differ from
// it: what is equal is never looked into.
func (m *missing) ignore(known plumbing.Hash, fresh []*object.Commit) error {
	for _, c := range fresh {
		if err := m.ignoreAlong(known, c.TreeHash); err != nil {
			return err
		}
	}
	return nil
}

func (m *missing) ignoreAlong(known, new plumbing.Hash) error {
	m.there[known] = true
	if known == new {
		return nil
	}
	before, err := m.repo.entries(known)
	if err != nil {
		return err
	}
	after, err := m.repo.entries(new)
	if err != nil {
		return err
	}
	for name, e := range before {
		m.there[e.Hash] = true
		if other, ok := after[name]; ok && e.Mode == filemode.Dir && other.Mode == filemode.Dir {
			if err := m.ignoreAlong(e.Hash, other.Hash); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *missing) tree(h plumbing.Hash) error {
	if !m.take(h) {
		return nil
	}
	t, err := m.repo.readTree(h)
	if err != nil {
		return err
	}
	for _, e := range t.Entries {
		switch e.Mode {
		case filemode.Submodule: // lives elsewhere
		case filemode.Dir:
			if err := m.tree(e.Hash); err != nil {
				return err
			}
		default:
			m.take(e.Hash)
		}
	}
	return nil
}
