package promotion

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/lockstep-cd/lockstep/internal/git"
)

// commitTree is the files of one commit.
type commitTree struct {
	repository *git.Repository
	commit     git.Hash
}

// CommitTree reads the files of a commit that repository holds.
func CommitTree(repository *git.Repository, commit git.Hash) Tree {
	return commitTree{repository, commit}
}

func (t commitTree) Read(path string) ([]byte, error) {
	content, err := t.repository.Read(t.commit, path)
	if errors.Is(err, git.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if errors.Is(err, git.ErrSymlink) {
		return nil, linkRefused(path, err)
	}
	return content, err
}

func (t commitTree) Exists(path string) (bool, error) {
	_, err := t.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// overlay is a tree with some files changed, not yet written anywhere; nil: gone.
type overlay struct {
	base  Tree
	files map[string][]byte
}

func (o overlay) Read(path string) ([]byte, error) {
	content, ok := o.files[path]
	switch {
	case !ok:
		return o.base.Read(path)
	case content == nil:
		return nil, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
	}
	return content, nil
}

func (o overlay) Exists(path string) (bool, error) {
	if content, ok := o.files[path]; ok {
		return content != nil, nil
	}
	return o.base.Exists(path)
}
