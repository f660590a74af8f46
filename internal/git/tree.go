package git

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// checkTree refuses a tree as git fsck does: such trees are only made to
// write where no checkout may write.
func checkTree(t *object.Tree) error {
	seen := make(map[string]bool, len(t.Entries))
	for _, e := range t.Entries {
		why := wrongName(e.Name)
		switch {
		case why == "" && seen[e.Name]:
			why = "is there twice"
		case why == "" && e.Mode == filemode.Symlink && strings.EqualFold(e.Name, ".gitmodules"):
			why = "is a symbolic link"
		}
		if why != "" {
			return fault.Refused("UnsafeTree", fmt.Errorf("%w %s: entry %.100q %s", ErrUnsafeTree, t.Hash, e.Name, why),
				"Somebody made this commit to write outside of the checkout. Do not use it.")
		}
		seen[e.Name] = true
	}
	return nil
}

// wrongName says why one part of a path may not be checked out, or "".
func wrongName(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "is no name"
	case strings.ContainsAny(name, "/\x00"):
		return "contains a separator"
	case isDotGit(name):
		return "is a name of the .git folder"
	}
	return ""
}

// isDotGit recognises .git in the spellings that some file system takes for
// it: any case, code points that HFS+ ignores, and on NTFS trailing dots and
// spaces, streams and the short name.
func isDotGit(name string) bool {
	name = strings.Map(func(c rune) rune {
		switch {
		case c >= 0x200c && c <= 0x200f, c >= 0x202a && c <= 0x202e, c >= 0x206a && c <= 0x206f, c == 0xfeff:
			return -1
		}
		return c
	}, name)
	name, _, _ = strings.Cut(strings.ToLower(name), ":")
	name = strings.TrimRight(name, ". ")
	return name == ".git" || name == "git~1"
}

// checkPath holds a path of a commit against the same rules.
func checkPath(p string) error {
	for part := range strings.SplitSeq(p, "/") {
		if why := wrongName(part); why != "" {
			return fault.Refused("UnsafePath", fmt.Errorf("%w path %.200q: %q %s", ErrInvalid, p, part, why),
				"Give a path relative to the repository's root, with / between its parts.")
		}
	}
	return nil
}

// difference is a path that two trees have differently. A zero hash: not there.
type difference struct {
	path     string
	old, new object.TreeEntry
}

// diff visits the files that differ between two trees, in no set order.
func (r *Repository) diff(a, b plumbing.Hash, prefix string, visit func(difference) error) error {
	if a == b {
		return nil
	}
	before, err := r.entries(a)
	if err != nil {
		return err
	}
	after, err := r.entries(b)
	if err != nil {
		return err
	}
	for name, was := range before {
		if err := r.diffEntry(path.Join(prefix, name), was, after[name], visit); err != nil {
			return err
		}
		delete(after, name)
	}
	for name, is := range after {
		if err := r.diffEntry(path.Join(prefix, name), object.TreeEntry{}, is, visit); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) entries(tree plumbing.Hash) (map[string]object.TreeEntry, error) {
	t, err := r.readTree(tree)
	if err != nil {
		return nil, err
	}
	m := make(map[string]object.TreeEntry, len(t.Entries))
	for _, e := range t.Entries {
		m[e.Name] = e
	}
	return m, nil
}

func (r *Repository) diffEntry(at string, was, is object.TreeEntry, visit func(difference) error) error {
	if was.Hash == is.Hash && was.Mode == is.Mode {
		return nil
	}
	d := difference{path: at}
	var wasDir, isDir plumbing.Hash
	if was.Mode == filemode.Dir {
		wasDir = was.Hash
	} else {
		d.old = was
	}
	if is.Mode == filemode.Dir {
		isDir = is.Hash
	} else {
		d.new = is
	}
	if d.old.Hash != d.new.Hash || d.old.Mode != d.new.Mode {
		if err := visit(d); err != nil {
			return err
		}
	}
	return r.diff(wasDir, isDir, at, visit)
}

// ChangedPaths lists the files that differ between two commits, sorted. Zero
// stands for the empty tree.
func (r *Repository) ChangedPaths(from, to Hash) ([]string, error) {
	all, err := r.differences(from, to)
	var paths []string
	for _, d := range all {
		paths = append(paths, d.path)
	}
	slices.Sort(paths)
	return slices.Compact(paths), err
}

// Difference lists what, committed on from, makes those of its files that are
// wanted the ones of to. A submodule among them that differs is ErrInvalid.
func (r *Repository) Difference(from, to Hash, wanted func(path string) bool) ([]File, error) {
	all, err := r.differences(from, to)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, d := range all {
		switch {
		case !wanted(d.path):
		case d.old.Mode == filemode.Submodule || d.new.Mode == filemode.Submodule:
			return nil, fmt.Errorf("%s: %w: it is a submodule", d.path, ErrInvalid)
		case d.new.Hash.IsZero():
			files = append(files, File{Path: d.path, Deleted: true})
		default:
			content, err := r.blob(d.new.Hash)
			if err != nil {
				return nil, err
			}
			files = append(files, File{Path: d.path, Content: content, Mode: Mode(d.new.Mode)})
		}
	}
	return files, nil
}

// differences are those of two commits, of which Zero stands for the empty tree, in
// the order in which they can be applied: what goes makes room, files come, links
// come last.
func (r *Repository) differences(from, to Hash) ([]difference, error) {
	a, err := r.treeHash(from)
	if err != nil {
		return nil, err
	}
	b, err := r.treeHash(to)
	if err != nil {
		return nil, err
	}
	var all []difference
	err = r.diff(a, b, "", func(d difference) error {
		all = append(all, d)
		return nil
	})
	slices.SortFunc(all, func(a, b difference) int { return a.stage() - b.stage() })
	return all, err
}

func (d difference) stage() int {
	switch d.new.Mode {
	case filemode.Empty:
		return 0
	case filemode.Symlink:
		return 2
	}
	return 1
}

func (r *Repository) treeHash(commit Hash) (plumbing.Hash, error) {
	if commit.IsZero() {
		return plumbing.ZeroHash, nil
	}
	c, err := r.commit(commit)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return c.TreeHash, nil
}

// walk visits every file of a tree, folders' content included, sorted as Git
// sorts.
func (r *Repository) walk(tree plumbing.Hash, prefix string, visit func(path string, e object.TreeEntry) error) error {
	t, err := r.readTree(tree)
	if err != nil {
		return err
	}
	for _, e := range t.Entries {
		at := path.Join(prefix, e.Name)
		if e.Mode == filemode.Dir {
			err = r.walk(e.Hash, at, visit)
		} else {
			err = visit(at, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
