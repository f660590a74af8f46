package git

import (
	"fmt"

	"github.com/go-git/go-git/v5/plumbing/object"
)

// Diff is what a commit changes against another one, as git diff prints it.
// Both commits, and the contents of the files that differ, must be here.
func (r *Repository) Diff(from, to Hash) (string, error) {
	was, err := r.tree(from)
	if err != nil {
		return "", err
	}
	is, err := r.tree(to)
	if err != nil {
		return "", err
	}
	changes, err := object.DiffTree(was, is)
	if err != nil {
		return "", fmt.Errorf("compare %s with %s: %w", from.Short(), to.Short(), err)
	}
	patch, err := changes.Patch()
	if err != nil {
		return "", fmt.Errorf("compare %s with %s: %w", from.Short(), to.Short(), err)
	}
	return patch.String(), nil
}
