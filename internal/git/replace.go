package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// checkOut makes the worktree a commit's: what an earlier checkout tracked goes
// or is written again, what was never tracked stays unless it is in the way. The
// index names all files before they are written, so that those of a checkout
// that was interrupted are not taken for untracked by the next one.
func (r *Repository) checkOut(ctx context.Context, commit Hash, only *sparse) error {
	earlier, err := r.indexed()
	if err != nil {
		return fault.Refused("CheckoutDamaged", fmt.Errorf("find out which files %s tracks: %w", r.dir, err),
			"Clone with deleteExisting, or delete the folder's .git and the files that came from it.")
	}
	files, entries, err := r.plan(commit, only)
	if err != nil {
		return err
	}
	w, err := r.openWorktree()
	if err != nil {
		return err
	}
	defer w.Close()
	w.replaces = true
	if err := r.makeWay(w, earlier, entries); err != nil {
		return err
	}
	for _, f := range files {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if entries[f.path], err = w.write(f.path, f.TreeEntry); err != nil {
			return err
		}
	}
	return r.writeIndex(entries)
}

// makeWay makes the folder ready for the files of the index's new entries.
func (r *Repository) makeWay(w *worktree, earlier, entries map[string]*index.Entry) error {
	if err := r.forgetChanges(); err != nil {
		return err
	}
	if err := w.drop(earlier, entries); err != nil {
		return err
	}
	return r.writeIndex(entries)
}

// planned is a file that is to be written.
type planned struct {
	path string
	object.TreeEntry
}

// plan lists the files that a checkout writes and the entries of its index,
// which know nothing of the files on disk yet. Links come last, so that no file
// can be written through one.
func (r *Repository) plan(commit Hash, only *sparse) (files []planned, entries map[string]*index.Entry, err error) {
	tree, err := r.treeHash(commit)
	if err != nil {
		return nil, nil, err
	}
	var links []planned
	entries = map[string]*index.Entry{}
	err = r.walk(tree, "", func(at string, e object.TreeEntry) error {
		entries[at] = &index.Entry{Name: at, Hash: e.Hash, Mode: e.Mode, SkipWorktree: only.leavesOut(at)}
		switch {
		case entries[at].SkipWorktree:
		case e.Mode == filemode.Symlink:
			links = append(links, planned{at, e})
		default:
			files = append(files, planned{at, e})
		}
		return nil
	})
	return append(files, links...), entries, err
}

// drop deletes what earlier entries of the index brought and the wanted ones do
// not.
func (w *worktree) drop(earlier, wanted map[string]*index.Entry) error {
	for at, e := range earlier {
		// The index may come from anybody who could write to the folder.
		if e.SkipWorktree || checkPath(at) != nil || w.throughLink(at) {
			continue
		}
		stays := wanted[at]
		if stays != nil && !stays.SkipWorktree && (stays.Mode == filemode.Submodule || e.Mode != filemode.Submodule) {
			continue
		}
		remove := w.remove
		if e.Mode == filemode.Submodule {
			remove = w.removeSubmodule
		}
		if err := remove(at); err != nil {
			return err
		}
	}
	return nil
}

// removeSubmodule deletes what the checkout of a submodule tracks, and its .git
// file. A folder that is a repository of its own stays.
func (w *worktree) removeSubmodule(at string) error {
	pointer := filepath.ToSlash(filepath.Join(at, ".git"))
	if info, err := w.root.Lstat(pointer); err != nil || !info.Mode().IsRegular() {
		_ = w.root.Remove(at) // if it is empty: a submodule that was never checked out
		return nil
	}
	inner, err := Open(filepath.Join(w.repo.dir, filepath.FromSlash(at)))
	if err != nil {
		return fmt.Errorf("delete submodule %s: %w", at, err)
	}
	tracked, err := inner.indexed()
	if err != nil {
		return fmt.Errorf("delete submodule %s: %w", at, err)
	}
	files, err := inner.openWorktree()
	if err != nil {
		return err
	}
	defer files.Close()
	if err := files.drop(tracked, nil); err != nil {
		return fmt.Errorf("delete submodule %s: %w", at, err)
	}
	return w.remove(pointer)
}

// forgetChanges deletes what programs noted of changes to the files that are
// replaced now: a merge under way, and notes of the kind that GitDir is for.
func (r *Repository) forgetChanges() error {
	root, err := os.OpenRoot(r.gitDir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range []string{notesFolder, "MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "CHERRY_PICK_HEAD", "REVERT_HEAD", "AUTO_MERGE", "SQUASH_MSG"} {
		if err := root.RemoveAll(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget earlier changes: %w", writable(err, r.gitDir))
		}
	}
	return nil
}
