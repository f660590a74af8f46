package git

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
)

// Reset moves the branch to the commit, makes it HEAD, and updates the files
// that differ between HEAD and the commit; others, changed or untracked, stay.
// A branch of "" detaches HEAD.
func (r *Repository) Reset(branch string, commit Hash) error {
	_, from, err := r.Head()
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if r.dir != "" {
		if err := r.switchFiles(from, commit); err != nil {
			return fmt.Errorf("reset to %s: %w", commit.Short(), err)
		}
	}
	return r.setHead(branch, commit)
}

func (r *Repository) setHead(branch string, commit Hash) error {
	if branch == "" {
		return r.store.SetReference(plumbing.NewHashReference(plumbing.HEAD, fromHash(commit)))
	}
	name := "refs/heads/" + branch
	if err := r.SetRef(name, commit); err != nil {
		return err
	}
	return r.store.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.ReferenceName(name)))
}

// switchFiles makes the worktree and the index differ from one commit to
// another.
func (r *Repository) switchFiles(from, to Hash) error {
	differences, err := r.differences(from, to)
	if err != nil || len(differences) == 0 {
		return err
	}
	idx, err := r.store.Index()
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	w, err := r.openWorktree()
	if err != nil {
		return err
	}
	defer w.Close()
	entries := map[string]*index.Entry{}
	for _, e := range idx.Entries {
		entries[e.Name] = e
	}
	for _, d := range differences {
		if err := w.apply(d, entries); err != nil {
			return err
		}
	}
	return r.writeIndex(entries)
}

func (w *worktree) apply(d difference, entries map[string]*index.Entry) error {
	if e := entries[d.path]; e != nil && e.SkipWorktree {
		e.Hash, e.Mode = d.new.Hash, d.new.Mode
		if d.new.Mode == filemode.Empty {
			delete(entries, d.path)
		}
		return nil
	}
	if d.new.Mode == filemode.Empty {
		delete(entries, d.path)
		if d.old.Mode == filemode.Submodule {
			return nil // its checkout is not ours to delete
		}
		return w.remove(d.path)
	}
	e, err := w.write(d.path, d.new)
	if err != nil {
		return err
	}
	entries[d.path] = e
	return nil
}

// writeIndex writes the index whole.
func (r *Repository) writeIndex(entries map[string]*index.Entry) error {
	idx := &index.Index{Version: 2}
	for _, e := range entries {
		if e.SkipWorktree || e.IntentToAdd {
			idx.Version = 3 // flags beyond the first two bytes
		}
		idx.Entries = append(idx.Entries, e)
	}
	var text strings.Builder
	err := index.NewEncoder(&text).Encode(idx)
	if err == nil {
		err = writeWhole(filepath.Join(r.gitDir, "index"), text.String())
	}
	if err != nil {
		return fmt.Errorf("write index: %w", writable(err, r.gitDir))
	}
	return nil
}
