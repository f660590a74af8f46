package git

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// CommitOptions describes a commit to be made.
type CommitOptions struct {
	Parent    Hash   // Zero: a first commit
	Files     []File // what differs from the parent
	Message   string
	Author    Signature
	Committer Signature // the zero value: the author
	// Key signs the commit; nil: nobody does.
	Key *signature.Key
}

// Commit makes the objects of a commit. No ref and no file of the worktree
// changes. When the files equal the parent's, the answer is Parent itself.
// A file that would be written onto or through a symbolic link of the parent
// gives ErrSymlink.
func (r *Repository) Commit(c CommitOptions) (Hash, error) {
	base, err := r.treeHash(c.Parent)
	if err != nil {
		return "", fmt.Errorf("commit on %s: %w", c.Parent.Short(), err)
	}
	for _, f := range c.Files {
		if err := checkPath(f.Path); err != nil {
			return "", err
		}
	}
	tree, err := r.writeTree(base, "", c.Files)
	if err != nil {
		return "", fmt.Errorf("commit on %s: %w", c.Parent.Short(), err)
	}
	if tree == base && !c.Parent.IsZero() {
		return c.Parent, nil
	}
	if tree.IsZero() { // every file is gone: the empty tree is an object too
		if tree, err = r.put(&object.Tree{}); err != nil {
			return "", err
		}
	}
	return r.writeCommit(c, tree)
}

func (r *Repository) writeCommit(c CommitOptions, tree plumbing.Hash) (Hash, error) {
	commit := &object.Commit{
		TreeHash: tree, Author: c.Author.object(),
		Committer: cmp.Or(c.Committer, c.Author).object(),
		Message:   strings.TrimRight(c.Message, "\n") + "\n",
	}
	if !c.Parent.IsZero() {
		commit.ParentHashes = []plumbing.Hash{fromHash(c.Parent)}
	}
	h, err := r.putSigned(commit, &commit.PGPSignature, c.Key)
	if err != nil {
		return "", fmt.Errorf("write commit: %w", err)
	}
	return toHash(h), nil
}

// writeTree writes the tree that differs from base by the files, whose paths
// are relative to it. The zero hash is the answer for a tree without entries.
func (r *Repository) writeTree(base plumbing.Hash, at string, files []File) (plumbing.Hash, error) {
	entries, err := r.entries(base)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	below := map[string][]File{}
	for _, f := range files {
		name, rest, deeper := strings.Cut(f.Path, "/")
		if deeper {
			below[name] = append(below[name], File{Path: rest, Content: f.Content, Mode: f.Mode, Deleted: f.Deleted})
			continue
		}
		if err := r.writeEntry(entries, at, f); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	for name, files := range below {
		if err := r.writeFolder(entries, at, name, files); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	if len(entries) == 0 {
		return plumbing.ZeroHash, nil
	}
	t := &object.Tree{Entries: slices.Collect(maps.Values(entries))}
	sort.Sort(object.TreeEntrySorter(t.Entries))
	return r.put(t)
}

func (r *Repository) writeEntry(entries map[string]object.TreeEntry, at string, f File) error {
	was, there := entries[f.Path]
	if f.Deleted {
		if was.Mode != filemode.Dir { // a folder goes with its files
			delete(entries, f.Path)
		}
		return nil
	}
	mode := f.Mode
	switch {
	case there && mode == 0 && was.Mode == filemode.Symlink:
		return linkRefused(at + f.Path)
	case there && mode == 0 && was.Mode.IsFile():
		mode = Mode(was.Mode)
	case mode == 0:
		mode = Regular
	}
	h, err := r.putBlob(f.Content)
	if err != nil {
		return fmt.Errorf("write %s%s: %w", at, f.Path, err)
	}
	entries[f.Path] = object.TreeEntry{Name: f.Path, Mode: filemode.FileMode(mode), Hash: h}
	return nil
}

func (r *Repository) writeFolder(entries map[string]object.TreeEntry, at, name string, files []File) error {
	was, there := entries[name]
	if there && was.Mode != filemode.Dir {
		// What is deleted below something that is no folder is gone already.
		if !slices.ContainsFunc(files, func(f File) bool { return !f.Deleted }) {
			return nil
		}
		if was.Mode == filemode.Symlink {
			return linkRefused(at + name)
		}
		return fault.Refused("PathIsAFile", fmt.Errorf("write below %s%s: it is a file", at, name), "")
	}
	h, err := r.writeTree(was.Hash, at+name+"/", files)
	switch {
	case err != nil:
		return err
	case h.IsZero():
		delete(entries, name)
	default:
		entries[name] = object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: h}
	}
	return nil
}

func linkRefused(path string) error {
	return fault.Refused("PathIsALink", fmt.Errorf("write %s: it %w", path, ErrSymlink),
		"Files are never written through symbolic links. Replace the link with a file first.")
}
