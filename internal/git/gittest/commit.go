package gittest

import (
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Commits are made in this process: the git program would start a dozen times
// for each, which is most of what a test takes.

// store is the repository as it is on disk at the moment.
func (r *Repository) store() *repository {
	return &repository{Storage: filesystem.NewStorage(osfs.New(r.Dir), cache.NewObjectLRUDefault())}
}

// EncodedObject is an object of the repository. JGit names its packs after the
// objects in them and not after their checksum, as go-git wants it; what is in
// such a pack the git program reads.
func (r *repository) EncodedObject(kind plumbing.ObjectType, hash plumbing.Hash) (plumbing.EncodedObject, error) {
	o, err := r.Storage.EncodedObject(kind, hash)
	r.foreign = r.foreign || errors.Is(err, idxfile.ErrMalformedIdxFile)
	if err == nil || !r.foreign {
		return o, err
	}
	git := func(args ...string) ([]byte, error) {
		return exec.Command("git", append([]string{"--git-dir=" + r.Filesystem().Root(), "cat-file"}, args...)...).Output()
	}
	name, err := git("-t", hash.String())
	if err != nil {
		return nil, plumbing.ErrObjectNotFound
	}
	found, err := plumbing.ParseObjectType(strings.TrimSpace(string(name)))
	if err != nil || kind != plumbing.AnyObject && kind != found {
		return nil, plumbing.ErrObjectNotFound
	}
	content, err := git(found.String(), hash.String())
	if err != nil {
		return nil, err
	}
	o = r.NewEncodedObject()
	o.SetType(found)
	w, err := o.Writer()
	if err != nil {
		return nil, err
	}
	_, err = w.Write(content)
	return o, err
}

// change commits what do makes of the files of a branch.
func (r *Repository) change(branch, message string, do func(entries) error) string {
	r.t.Helper()
	store, all := r.store(), entries{}
	commit := &object.Commit{Message: strings.TrimRight(message, "\n") + "\n"}
	commit.Author = object.Signature{Name: "Tester", Email: "tester@example.com", When: time.Now()}
	commit.Committer = commit.Author
	for _, name := range []string{branch, "main"} {
		ref, err := store.Reference(plumbing.NewBranchReferenceName(name))
		if errors.Is(err, plumbing.ErrReferenceNotFound) {
			continue
		}
		must(r.t, err)
		all, err = store.entries(ref.Hash())
		must(r.t, err)
		commit.ParentHashes = []plumbing.Hash{ref.Hash()}
		break
	}
	must(r.t, do(all))
	var err error
	commit.TreeHash, err = store.tree(all, "")
	must(r.t, err)
	hash, err := store.save(commit)
	must(r.t, err)
	must(r.t, store.SetReference(plumbing.NewHashReference(plumbing.NewBranchReferenceName(branch), hash)))
	return hash.String()
}

// entries are the files of a tree by their whole path.
type entries map[string]object.TreeEntry

func (r *repository) entries(commit plumbing.Hash) (entries, error) {
	c, err := object.GetCommit(r, commit)
	if err != nil {
		return nil, err
	}
	tree, err := c.Tree()
	if err != nil {
		return nil, err
	}
	all := entries{}
	walker := object.NewTreeWalker(tree, true, nil)
	defer walker.Close()
	for {
		path, e, err := walker.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return all, err
		}
		if e.Mode != filemode.Dir {
			all[path] = e
		}
	}
}

// put sets a file, whose path says what it is as in Files, and removes
// whatever is in the way.
func (all entries) put(store *repository, path, content string) error {
	name := strings.TrimRight(path, "*@")
	mode := filemode.Regular
	switch {
	case strings.HasSuffix(path, "@"):
		mode = filemode.Symlink
	case strings.HasSuffix(path, "*"):
		mode = filemode.Executable
	}
	blob := store.NewEncodedObject()
	blob.SetType(plumbing.BlobObject)
	w, err := blob.Writer()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(content)); err != nil {
		return err
	}
	hash, err := store.SetEncodedObject(blob)
	if err != nil {
		return err
	}
	all.remove(name)
	for i := range name {
		if name[i] == '/' {
			delete(all, name[:i])
		}
	}
	all[name] = object.TreeEntry{Mode: mode, Hash: hash}
	return nil
}

// remove takes a file or a folder away.
func (all entries) remove(path string) {
	maps.DeleteFunc(all, func(p string, _ object.TreeEntry) bool { return p == path || strings.HasPrefix(p, path+"/") })
}

// tree stores what is below a folder ("" or with a slash at its end).
func (r *repository) tree(all entries, folder string) (plumbing.Hash, error) {
	tree := &object.Tree{}
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		rest, below := strings.CutPrefix(path, folder)
		name, _, deeper := strings.Cut(rest, "/")
		if !below || seen[name] {
			continue
		}
		seen[name] = true
		e := all[path]
		e.Name = name
		if deeper {
			hash, err := r.tree(all, folder+name+"/")
			if err != nil {
				return plumbing.ZeroHash, err
			}
			e.Mode, e.Hash = filemode.Dir, hash
		}
		tree.Entries = append(tree.Entries, e)
	}
	slices.SortFunc(tree.Entries, func(a, b object.TreeEntry) int { return strings.Compare(inTree(a), inTree(b)) })
	return r.save(tree)
}

// inTree is the name by which Git sorts: a folder's ends with a slash.
func inTree(e object.TreeEntry) string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}

func (r *repository) save(o interface {
	Encode(plumbing.EncodedObject) error
}) (plumbing.Hash, error) {
	encoded := r.NewEncodedObject()
	if err := o.Encode(encoded); err != nil {
		return plumbing.ZeroHash, err
	}
	return r.SetEncodedObject(encoded)
}
