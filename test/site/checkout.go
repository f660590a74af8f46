package site

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Checkout is a developer's working copy of a repository.
type Checkout struct {
	Dir string
	env []string
}

// Git runs the git program in the working copy and returns its trimmed output.
func (c *Checkout) Git(ctx context.Context, args ...string) (string, error) {
	out, err := command{dir: c.Dir, env: c.env}.run(ctx, "git", args...)
	return strings.TrimSpace(out), err
}

// Replace replaces a text in a file; a text that is not there is an error.
func (c *Checkout) Replace(path, old, new string) error {
	path = filepath.Join(c.Dir, path)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), old) {
		return fmt.Errorf("%s does not hold %q", path, old)
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(text), old, new)), 0o644)
}

// Contains says whether a file holds a text.
func (c *Checkout) Contains(path, text string) (bool, error) {
	content, err := os.ReadFile(filepath.Join(c.Dir, path))
	return strings.Contains(string(content), text), err
}

// Revert takes a commit back with a new one and pushes that; it returns it.
func (c *Checkout) Revert(ctx context.Context, commit string) (string, error) {
	for _, args := range [][]string{{"revert", "--no-edit", commit}, {"push", "-q", "origin", "HEAD"}} {
		if _, err := c.Git(ctx, args...); err != nil {
			return "", err
		}
	}
	return c.Git(ctx, "rev-parse", "HEAD")
}

// Push commits everything and pushes the current branch; it returns the commit.
func (c *Checkout) Push(ctx context.Context, message string) (string, error) {
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", message}, {"push", "-q", "origin", "HEAD"}} {
		if _, err := c.Git(ctx, args...); err != nil {
			return "", err
		}
	}
	return c.Git(ctx, "rev-parse", "HEAD")
}
