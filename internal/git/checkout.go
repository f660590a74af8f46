package git

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// worktree writes files of a tree into a folder. It never leaves the folder
// and never writes through a symbolic link, whatever the tree or the folder
// holds: every path is opened below an os.Root, and each parent is looked at.
type worktree struct {
	repo *Repository
	root *os.Root
	// folders that were found or made to be real ones. Links are made after
	// all files of a checkout, so nothing here turns into one meanwhile.
	folders map[string]bool
}

func (r *Repository) openWorktree() (*worktree, error) {
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return nil, writable(err, r.dir)
	}
	return &worktree{repo: r, root: root, folders: map[string]bool{".": true}}, nil
}

func (w *worktree) Close() error { return w.root.Close() }

// write puts one entry of a tree in place and describes it for the index.
func (w *worktree) write(at string, e object.TreeEntry) (*index.Entry, error) {
	if err := w.folder(path.Dir(at)); err != nil {
		return nil, err
	}
	var err error
	switch e.Mode {
	case filemode.Symlink:
		err = w.link(at, e)
	case filemode.Submodule:
		err = w.folder(at)
	default:
		err = w.file(at, e)
	}
	if err != nil {
		return nil, fmt.Errorf("check out %s: %w", at, writable(err, w.repo.dir))
	}
	return w.describe(at, e)
}

// folder makes a folder and its parents. A link in its place is refused; a
// file of an earlier state gives way.
func (w *worktree) folder(at string) error {
	if w.folders[at] {
		return nil
	}
	if err := w.folder(path.Dir(at)); err != nil {
		return err
	}
	info, err := w.root.Lstat(at)
	switch {
	case err == nil && info.Mode()&fs.ModeSymlink != 0:
		return linkRefused(at)
	case err == nil && !info.IsDir():
		if err := w.root.Remove(at); err != nil {
			return err
		}
		err = w.root.Mkdir(at, 0o777)
	case errors.Is(err, fs.ErrNotExist):
		err = w.root.Mkdir(at, 0o777)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder %s: %w", at, writable(err, w.repo.dir))
	}
	w.folders[at] = true
	return nil
}

// clear takes away what stands in a file's place, be it a link (itself, not
// what it points to) or an empty folder.
func (w *worktree) clear(at string) error {
	info, err := w.root.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		delete(w.folders, at)
	}
	return w.root.Remove(at)
}

func (w *worktree) file(at string, e object.TreeEntry) error {
	if err := w.clear(at); err != nil {
		return err
	}
	perm := fs.FileMode(0o666)
	if e.Mode == filemode.Executable {
		perm = 0o777
	}
	content, err := w.repo.blobReader(e.Hash)
	if err != nil {
		return err
	}
	defer content.Close()
	// O_EXCL: only a file that is made now is written to.
	f, err := w.root.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// link makes a symbolic link as the tree has it. Where it points to is not
// looked at: readers of the worktree decide whether they follow.
func (w *worktree) link(at string, e object.TreeEntry) error {
	target, err := w.repo.blob(e.Hash)
	if err != nil {
		return err
	}
	if strings.ContainsRune(string(target), 0) || len(target) == 0 || len(target) > 4096 {
		return fault.Refused("UnsafeTree", fmt.Errorf("%w: the link's target is no path", ErrUnsafeTree), "")
	}
	if err := w.clear(at); err != nil {
		return err
	}
	return w.root.Symlink(string(target), at)
}

// describe makes the index entry that lets git status trust the file without
// reading it again.
func (w *worktree) describe(at string, e object.TreeEntry) (*index.Entry, error) {
	info, err := w.root.Lstat(at)
	if err != nil {
		return nil, err
	}
	entry := &index.Entry{Name: at, Hash: e.Hash, Mode: e.Mode}
	if e.Mode == filemode.Submodule {
		return entry, nil
	}
	entry.ModifiedAt = info.ModTime()
	entry.Size = uint32(info.Size())
	fillStat(entry, info)
	return entry, nil
}

// remove deletes a file that left the tree, and folders that got empty by it.
// What is not empty, or is a folder by now, stays.
func (w *worktree) remove(at string) error {
	if w.throughLink(at) {
		return linkRefused(at)
	}
	info, err := w.root.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		err = w.root.Remove(at)
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", at, writable(err, w.repo.dir))
	}
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		delete(w.folders, dir)
		if w.root.Remove(dir) != nil {
			break
		}
	}
	return nil
}

func (w *worktree) throughLink(at string) bool {
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		if info, err := w.root.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}
