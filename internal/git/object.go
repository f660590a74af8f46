package git

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/lockstep-cd/lockstep/internal/signature"
)

// CommitInfo is what a commit says about itself.
type CommitInfo struct {
	Hash      Hash
	Parents   []Hash
	Author    Signature
	Committer Signature
	Message   string
}

// Subject is the first line of the message.
func (c CommitInfo) Subject() string {
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return strings.TrimSpace(subject)
}

// Info reads a commit. ErrNotFound when it is not here.
func (r *Repository) Info(commit Hash) (CommitInfo, error) {
	c, err := r.commit(commit)
	if err != nil {
		return CommitInfo{}, err
	}
	info := CommitInfo{Hash: commit, Message: c.Message, Author: signatureOf(c.Author), Committer: signatureOf(c.Committer)}
	for _, p := range c.ParentHashes {
		info.Parents = append(info.Parents, toHash(p))
	}
	return info, nil
}

func signatureOf(s object.Signature) Signature {
	return Signature{Name: s.Name, Email: s.Email, When: s.When}
}

// Read reads a file of a commit. ErrNotFound when the path is no file there,
// ErrSymlink when it is, or leads through, a symbolic link.
func (r *Repository) Read(commit Hash, path string) ([]byte, error) {
	content, err := r.read(commit, path)
	if err != nil {
		return nil, fmt.Errorf("read %s at %s: %w", path, commit.Short(), err)
	}
	return content, nil
}

func (r *Repository) read(commit Hash, path string) ([]byte, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	tree, err := r.tree(commit)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		entry, ok := find(tree, part)
		if !ok {
			return nil, ErrNotFound
		}
		last := i == len(parts)-1
		switch {
		case entry.Mode == filemode.Symlink:
			return nil, fmt.Errorf("%s %w", strings.Join(parts[:i+1], "/"), ErrSymlink)
		case last && entry.Mode.IsFile():
			return r.blob(entry.Hash)
		case last || entry.Mode != filemode.Dir:
			return nil, ErrNotFound
		}
		if tree, err = r.readTree(entry.Hash); err != nil {
			return nil, err
		}
	}
	return nil, ErrNotFound
}

func find(t *object.Tree, name string) (object.TreeEntry, bool) {
	for _, e := range t.Entries {
		if e.Name == name {
			return e, true
		}
	}
	return object.TreeEntry{}, false
}

func (r *Repository) commit(h Hash) (*object.Commit, error) {
	c, err := object.GetCommit(r.store, fromHash(h))
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", h.Short(), notFound(err))
	}
	return c, nil
}

// has reports whether an object is here.
func (r *Repository) has(h plumbing.Hash) bool { return r.store.HasEncodedObject(h) == nil }

// tree is the tree of a commit; that of Zero is empty.
func (r *Repository) tree(commit Hash) (*object.Tree, error) {
	if commit.IsZero() {
		return &object.Tree{}, nil
	}
	c, err := r.commit(commit)
	if err != nil {
		return nil, err
	}
	return r.readTree(c.TreeHash)
}

// readTree reads a tree and refuses names that must never become a path.
func (r *Repository) readTree(h plumbing.Hash) (*object.Tree, error) {
	if h.IsZero() {
		return &object.Tree{}, nil
	}
	t, err := object.GetTree(r.store, h)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", h, notFound(err))
	}
	if err := checkTree(t); err != nil {
		return nil, err
	}
	return t, nil
}

func (r *Repository) blob(h plumbing.Hash) ([]byte, error) {
	reader, err := r.blobReader(h)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return io.ReadAll(reader)
}

func (r *Repository) blobReader(h plumbing.Hash) (io.ReadCloser, error) {
	b, err := object.GetBlob(r.store, h)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", h, notFound(err))
	}
	return b.Reader()
}

// put stores an object that knows how to encode itself.
func (r *Repository) put(o interface {
	Encode(plumbing.EncodedObject) error
}) (plumbing.Hash, error) {
	encoded := r.store.NewEncodedObject()
	if err := o.Encode(encoded); err != nil {
		return plumbing.ZeroHash, err
	}
	return r.store.SetEncodedObject(encoded)
}

func (r *Repository) putBlob(content []byte) (plumbing.Hash, error) {
	encoded := r.store.NewEncodedObject()
	encoded.SetType(plumbing.BlobObject)
	w, err := encoded.Writer()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if _, err := w.Write(content); err != nil {
		return plumbing.ZeroHash, err
	}
	if err := w.Close(); err != nil {
		return plumbing.ZeroHash, err
	}
	return r.store.SetEncodedObject(encoded)
}

func (s Signature) object() object.Signature {
	return object.Signature{Name: oneLine(s.Name), Email: oneLine(s.Email), When: s.When.Truncate(time.Second)}
}

// oneLine takes out what would end the field in a commit object.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '<' || c == '>' {
			return -1
		}
		return c
	}, s))
}

// TagOptions describes an annotated tag to be made.
type TagOptions struct {
	Name    string // without refs/tags/
	Commit  Hash
	Message string
	By      Signature
	// Key signs the tag; nil: nobody does.
	Key *signature.Key
}

// Tag makes an annotated tag object for a commit. No ref is created: Push it
// as refs/tags/<name>.
func (r *Repository) Tag(t TagOptions) (Hash, error) {
	if err := checkRef("refs/tags/" + t.Name); err != nil {
		return "", err
	}
	tag := &object.Tag{
		Name: t.Name, Target: fromHash(t.Commit), TargetType: plumbing.CommitObject,
		Tagger: t.By.object(), Message: strings.TrimRight(t.Message, "\n") + "\n",
	}
	h, err := r.putSigned(tag, &tag.PGPSignature, t.Key)
	if err != nil {
		return "", fmt.Errorf("make tag %s: %w", t.Name, err)
	}
	return toHash(h), nil
}
