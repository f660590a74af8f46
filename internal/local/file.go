package local

import (
	"crypto/rand"
	"fmt"
	"os"
	"path"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// writeWhole writes a file beside its place and moves it there: nobody reads
// half of it. Only its owner may read it.
func writeWhole(root *os.Root, name string, content []byte) error {
	partial := path.Join(path.Dir(name), "."+rand.Text())
	err := root.WriteFile(partial, content, 0o600)
	if err == nil {
		err = root.Rename(partial, name)
	}
	if err != nil {
		_ = root.Remove(partial)
	}
	return err
}

// writeFile is writeWhole for a path.
func writeFile(name string, content []byte) error {
	root, err := os.OpenRoot(path.Dir(name))
	if err != nil {
		return err
	}
	defer root.Close()
	return writeWhole(root, path.Base(name), content)
}

// explain says what was tried, and what to do where the disk is full.
func explain(err error, what string) error {
	if err == nil {
		return nil
	}
	return fault.Disk(fmt.Errorf("%s: %w", what, err))
}
