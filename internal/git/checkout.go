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
	// replaces: a folder with untracked files gives way to a file, as with
	// git checkout --force. Else it is an error.
	replaces bool
	// here is the folder that was written to last: opened once for all its
	// files, since a path below the root is walked part by part each time.
	here   *os.Root
	hereAt string
	buffer []byte
}

func (r *Repository) openWorktree() (*worktree, error) {
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return nil, writable(err, r.dir)
	}
	return &worktree{repo: r, root: root, folders: map[string]bool{".": true}, buffer: make([]byte, 32<<10)}, nil
}

func (w *worktree) Close() error {
	w.leave()
	return w.root.Close()
}

func (w *worktree) leave() {
	if w.here != nil {
		w.here.Close()
		w.here = nil
	}
}

// enter opens a folder that is known to be a real one.
func (w *worktree) enter(dir string) (*os.Root, error) {
	if w.here != nil && w.hereAt == dir {
		return w.here, nil
	}
	w.leave()
	here, err := w.root.OpenRoot(dir)
	if err == nil {
		w.here, w.hereAt = here, dir
	}
	return here, err
}

// write puts one entry of a tree in place and describes it for the index.
func (w *worktree) write(at string, e object.TreeEntry) (*index.Entry, error) {
	if err := w.folder(path.Dir(at)); err != nil {
		return nil, err
	}
	entry, err := w.writeEntry(at, e)
	if err != nil {
		return nil, fmt.Errorf("check out %s: %w", at, writable(err, w.repo.dir))
	}
	return entry, nil
}

func (w *worktree) writeEntry(at string, e object.TreeEntry) (*index.Entry, error) {
	switch e.Mode {
	case filemode.Symlink:
		if err := w.link(at, e); err != nil {
			return nil, err
		}
		info, err := w.root.Lstat(at)
		return describe(at, e, info), err
	case filemode.Submodule:
		return &index.Entry{Name: at, Hash: e.Hash, Mode: e.Mode}, w.folder(at)
	}
	info, err := w.file(at, e)
	return describe(at, e, info), err
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
// what it points to) or a folder, which has to be empty unless replaces is set.
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
		if w.replaces {
			return removeAll(w.root, at)
		}
	}
	return w.root.Remove(at)
}

func (w *worktree) file(at string, e object.TreeEntry) (fs.FileInfo, error) {
	perm := fs.FileMode(0o666)
	if e.Mode == filemode.Executable {
		perm = 0o777
	}
	content, err := w.repo.blobReader(e.Hash)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	f, err := w.create(at, perm)
	if err != nil {
		return nil, err
	}
	// The plain Writer keeps io from taking a buffer of its own for each file.
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, content, w.buffer)
	info, stat := f.Stat()
	return info, errors.Join(err, stat, f.Close())
}

// create makes a file. O_EXCL: only what is made now is written to; what was
// there gives way.
func (w *worktree) create(at string, perm fs.FileMode) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	dir, err := w.enter(path.Dir(at))
	if err != nil {
		return nil, err
	}
	f, err := dir.OpenFile(path.Base(at), flags, perm)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if err := w.clear(at); err != nil {
		return nil, err
	}
	return dir.OpenFile(path.Base(at), flags, perm)
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
func describe(at string, e object.TreeEntry, info fs.FileInfo) *index.Entry {
	if info == nil {
		return nil
	}
	entry := &index.Entry{Name: at, Hash: e.Hash, Mode: e.Mode, ModifiedAt: info.ModTime(), Size: uint32(info.Size())}
	fillStat(entry, info)
	return entry
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
	w.leave()
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
