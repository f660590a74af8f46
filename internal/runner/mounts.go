package runner

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mount says which folder of this machine stands for a folder that a step would
// see in a container.
type mount struct {
	path     string // in the container
	folder   string // on this machine
	readOnly bool
	// source is what folder is a copy of, or "".
	source string
	// steps are those that see it, by their number. Nil: all.
	steps []int
}

// mounts are what a pod would mount. A container gets them as they are; a
// program on this machine gets paths translated.
type mounts []mount

// add keeps the longest paths first: /workspace/source stands in front of
// /workspace.
func (m *mounts) add(mt mount) {
	mt.path = filepath.Clean(mt.path)
	*m = append(*m, mt)
	slices.SortStableFunc(*m, func(a, b mount) int { return cmp.Compare(len(b.path), len(a.path)) })
}

// of are those that a step sees.
func (m mounts) of(step int) mounts {
	return slices.DeleteFunc(slices.Clone(m), func(mt mount) bool { return mt.steps != nil && !slices.Contains(mt.steps, step) })
}

// refresh copies anew what a step may read and not write: what it writes all
// the same, as root can, reaches the copy only. A container needs no copy.
func (m mounts) refresh() error {
	for _, mt := range m {
		if mt.source == "" {
			continue
		}
		if err := remove(mt.folder); err != nil {
			return err
		}
		if err := os.CopyFS(mt.folder, os.DirFS(mt.source)); err != nil {
			return fmt.Errorf("copy the read-only %s: %w", mt.path, err)
		}
		if err := protect(mt.folder); err != nil {
			return err
		}
	}
	return nil
}

// protect takes the right to write to files away. Folders keep it, so that they
// can be removed.
func protect(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode().Perm()&^0o222)
	})
}

// folder returns the folder that stands for a path of the container, and false
// where none does.
func (m mounts) folder(path string) (string, bool) {
	path = filepath.Clean(path)
	for _, mt := range m {
		if rest, ok := strings.CutPrefix(path, mt.path); ok && (rest == "" || rest[0] == '/') {
			return mt.folder + rest, true
		}
	}
	return path, false
}

// absolute finds absolute paths in a text: at its begin, or behind what is no
// part of a path or a word.
var absolute = regexp.MustCompile(`(^|[^\w./$)}~-])(/[\w.-]+(?:/[\w.-]+)*)`)

// translate puts folders of this machine in the place of paths of the
// container, wherever one stands in a text that the author of a Task wrote.
// Values of parameters are put in afterwards, so they are never changed.
func (m mounts) translate(text string) string {
	return absolute.ReplaceAllStringFunc(text, func(match string) string {
		start := strings.IndexByte(match, '/')
		folder, ok := m.folder(match[start:])
		if !ok {
			return match
		}
		return match[:start] + folder
	})
}

// makeFolders creates folders that programs of any user may write to, as an
// emptyDir is.
func makeFolders(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}
