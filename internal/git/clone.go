package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// CloneOptions say what Clone brings and where to.
type CloneOptions struct {
	Dir string // made when it is missing
	// Subdirectory of Dir to clone into, "" for Dir itself. It cannot lead out
	// of Dir, not by a link either.
	Subdirectory string
	Revision     string // branch, tag, full ref or commit of 40 digits, as Resolve; "": the remote's HEAD
	Depth        int    // commits of history; 0: all
	// DeleteExisting empties Dir first, but for lost+found. Otherwise a
	// repository there is reused: files that it tracks and the commit lacks are
	// deleted, and those that it never tracked stay unless they are in the way.
	DeleteExisting bool
	// Refspec is what to fetch instead of the revision alone: items
	// source:destination, separated by spaces. The revision is then looked for
	// among the destinations first; "" means the first that was fetched.
	Refspec string
	// Sparse are patterns of the files to check out, in the form of
	// .gitignore; none: all of them.
	Sparse []string
	// Submodules are checked out too, and theirs; of the first level only
	// those at or below SubmodulePaths, if some are given.
	Submodules     bool
	SubmodulePaths []string
	// Signers are those of whom one must have signed the commit; nil: nobody
	// must. Submodules need no signature: the commit names theirs.
	Signers *signature.Signers
}

// Clone checks a revision of a remote out into a folder: a branch as a local
// branch that tracks it, anything else as a detached HEAD. The result is an
// ordinary repository for the git program, without credentials in its
// configuration. When it fails, the folder holds nothing of the attempt.
func Clone(ctx context.Context, from *Remote, o CloneOptions) (*Repository, error) {
	if o.Subdirectory != "" && !filepath.IsLocal(o.Subdirectory) {
		return nil, fault.Usage("InvalidParameters", fmt.Errorf("subdirectory %q: %w: it leads out of the folder", o.Subdirectory, ErrInvalid),
			"Give a relative path such as source.")
	}
	c := &cloning{CloneOptions: o, from: from, sparse: newSparse(o.Sparse)}
	if err := c.find(ctx); err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", o.Dir, err)
	}
	if err := c.run(ctx); err != nil {
		return nil, errors.Join(err, c.undo())
	}
	return c.repo, nil
}

// cloning is one call of Clone.
type cloning struct {
	CloneOptions
	from *Remote
	ref  Ref
	repo *Repository

	refspecs []refspec
	sparse   *sparse
	gitDir   string // of a submodule; "": Dir/.git
	level    int    // of submodules, 0 for the repository itself

	madeDir bool // the folder was not there
	empty   bool // the folder holds nothing that is not ours
	reused  bool // there was a repository, which stays
}

// find looks the revision up before anything is touched.
func (c *cloning) find(ctx context.Context) (err error) {
	if c.refspecs, err = parseRefspecs(c.Refspec); err != nil {
		return err
	}
	if len(c.refspecs) == 0 {
		c.ref, err = c.from.Resolve(ctx, c.Revision)
		return err
	}
	if c.Revision != "" {
		_, err = meanings(c.Revision)
	}
	return err
}

func (c *cloning) prepare() error {
	if err := c.makeFolder(); err != nil {
		return writable(err, c.Dir)
	}
	if c.DeleteExisting {
		if err := emptyFolder(c.Dir); err != nil {
			return err
		}
	}
	names, err := contents(c.Dir)
	if err != nil {
		return err
	}
	c.empty = len(names) == 0
	_, err = os.Lstat(filepath.Join(c.Dir, ".git"))
	c.reused = err == nil
	return nil
}

// makeFolder makes Dir and the subdirectory, and makes that Dir.
func (c *cloning) makeFolder() error {
	_, err := os.Lstat(filepath.Join(c.Dir, c.Subdirectory))
	c.madeDir = errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if c.Subdirectory != "" {
		if err := root.MkdirAll(filepath.Clean(c.Subdirectory), 0o777); err != nil {
			return err
		}
		c.Dir = filepath.Join(c.Dir, c.Subdirectory)
	}
	return nil
}

// contents lists a folder without lost+found, which belongs to the file
// system of a volume and to root.
func contents(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, writable(err, dir)
	}
	var names []string
	for _, e := range list {
		if e.Name() != "lost+found" {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// emptyFolder deletes what a folder holds, not the folder: it may be the root
// of a volume. Links are deleted, never followed.
func emptyFolder(dir string) error {
	names, err := contents(dir)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return writable(err, dir)
	}
	defer root.Close()
	for _, name := range names {
		if err := removeAll(root, name); err != nil {
			return fmt.Errorf("delete %s: %w", name, writable(err, dir))
		}
	}
	return nil
}

// removeAll deletes a file or a folder, folders that are read-only too: caches
// of modules are, and they are ours.
func removeAll(root *os.Root, name string) error {
	err := root.RemoveAll(name)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = fs.WalkDir(root.FS(), name, func(at string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = root.Chmod(at, 0o700) // where it fails, so does RemoveAll, which says why
		}
		return nil
	})
	return root.RemoveAll(name)
}

// undo takes away what a failed attempt made.
func (c *cloning) undo() error {
	switch {
	case c.madeDir:
		return os.RemoveAll(c.Dir)
	case c.empty:
		return emptyFolder(c.Dir)
	case !c.reused:
		return os.RemoveAll(filepath.Join(c.Dir, ".git"))
	}
	return nil
}

func (c *cloning) run(ctx context.Context) error {
	var err error
	if c.gitDir == "" {
		c.gitDir = filepath.Join(c.Dir, ".git")
	}
	if c.repo, err = initRepository(c.Dir, c.gitDir, c.settings()); err != nil {
		return err
	}
	if err := c.fetch(ctx); err != nil {
		return err
	}
	commit, err := c.repo.peel(c.ref.Hash)
	if err != nil {
		return fmt.Errorf("check out %s: %w", shown(c.ref), err)
	}
	if err := c.repo.Check(commit, c.Signers); err != nil {
		return err
	}
	if strings.HasPrefix(c.ref.Name, "refs/tags/") {
		if err := c.repo.SetRef(c.ref.Name, c.ref.Hash); err != nil {
			return err
		}
	}
	if err := c.repo.checkOut(ctx, commit, c.sparse); err != nil {
		return err
	}
	if err := c.repo.setHead(c.ref.Branch(), commit); err != nil {
		return err
	}
	if c.Submodules {
		return c.submodules(ctx, commit)
	}
	return nil
}

func (c *cloning) fetch(ctx context.Context) error {
	if len(c.refspecs) == 0 {
		if err := c.from.Fetch(ctx, c.repo, c.ref, c.Depth); err != nil || c.Depth > 0 || c.level > 0 {
			return err
		}
		return c.from.followTags(ctx, c.repo)
	}
	if err := c.fetchAll(ctx); err != nil {
		return err
	}
	// Only now it is known which branch the configuration is to name.
	return writeWhole(filepath.Join(c.gitDir, "config"), c.settings().text(keepsModes(c.gitDir)))
}

// peel is the commit that a commit or an annotated tag stands for.
func (r *Repository) peel(h Hash) (Hash, error) {
	for range 10 {
		encoded, err := r.store.EncodedObject(plumbing.AnyObject, fromHash(h))
		if err != nil {
			return "", notFound(err)
		}
		switch encoded.Type() {
		case plumbing.CommitObject:
			return h, nil
		case plumbing.TagObject:
			tag, err := object.DecodeTag(r.store, encoded)
			if err != nil {
				return "", err
			}
			h = toHash(tag.Target)
		default:
			return "", fault.Refused("RevisionNotFound", fmt.Errorf("%w: it is a %s, not a commit", ErrInvalid, encoded.Type()), "")
		}
	}
	return "", fmt.Errorf("%w: a tag of a tag of a tag", ErrInvalid)
}
