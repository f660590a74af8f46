package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/registry"
)

// cache keeps archives by their digest. It is a help, never a condition: an
// archive that cannot be kept is fetched again, one that was changed on disk is
// not used.
type cache struct {
	folder string
}

func (c cache) path(digest string) string {
	folder := c.folder
	if folder == "" {
		folder = filepath.Join(os.TempDir(), fmt.Sprintf("lockstep-charts-%d", os.Getuid()))
	}
	return filepath.Join(folder, strings.ReplaceAll(digest, ":", string(filepath.Separator)))
}

func (c cache) get(digest string) ([]byte, bool) {
	if digest == "" {
		return nil, false
	}
	content, err := os.ReadFile(c.path(digest))
	return content, err == nil && registry.Digest(content) == digest
}

func (c cache) put(content []byte) {
	path := c.path(registry.Digest(content))
	if os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	partial, err := os.CreateTemp(filepath.Dir(path), ".partial-")
	if err != nil {
		return
	}
	_, err = partial.Write(content)
	if partial.Close() != nil || err != nil || os.Rename(partial.Name(), path) != nil {
		_ = os.Remove(partial.Name())
	}
}
