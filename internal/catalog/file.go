package catalog

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lockstep-cd/lockstep/internal/application"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// changeFile replaces a file of this machine, whole or not at all; where it is a link,
// the file that it leads to.
func (c Catalog) changeFile(d document, m promotion.Message, do func([]byte) ([]byte, error)) (Changed, error) {
	f, err := c.readFile(d)
	if err != nil {
		return Changed{}, fault.Usage("FileNotRead", err, "Name the file, or the URL of the Git repository that holds it.")
	}
	out, err := do(f.text)
	if err != nil || bytes.Equal(out, f.text) {
		return Changed{}, err
	}
	if c.DryRun {
		diff, err := c.diff(f, m, out)
		return Changed{Done: true, Diff: diff}, err
	}
	made, err := os.CreateTemp(filepath.Dir(f.name), ".lockstep-")
	if err != nil {
		return Changed{}, err
	}
	_, err = made.Write(out)
	if err = errors.Join(err, made.Chmod(f.mode), made.Close()); err == nil {
		err = os.Rename(made.Name(), f.name)
	}
	if err != nil {
		return Changed{}, errors.Join(err, os.Remove(made.Name()))
	}
	return Changed{Done: true}, nil
}

// localFile is a document of this machine.
type localFile struct {
	name    string // behind all links
	missing bool   // text is what it begins with
	text    []byte
	mode    fs.FileMode
}

// readFile reads as much as one byte more than any file may have. Where nothing is, it
// wants an environments.yaml beside it: else this is the wrong folder.
func (c Catalog) readFile(d document) (localFile, error) {
	name, err := filepath.EvalSymlinks(d.local)
	if errors.Is(err, fs.ErrNotExist) && d.empty != nil {
		_, err = os.Stat(c.Where)
		return localFile{name: d.local, missing: true, text: d.empty, mode: newFileMode}, err
	}
	if err != nil {
		return localFile{}, err
	}
	f, err := os.Open(name)
	if err != nil {
		return localFile{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return localFile{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, largestFile+1))
	return localFile{name: name, text: text, mode: info.Mode().Perm()}, err
}

const (
	newFileMode = 0o644
	largestFile = application.MaxSize // environments.yaml is smaller
)

// diff is what changes in a file that is in no repository.
func (c Catalog) diff(f localFile, m promotion.Message, after []byte) (string, error) {
	scratch, name := git.NewMemory(), filepath.Base(f.name)
	var before []git.File
	if !f.missing {
		before = []git.File{{Path: name, Content: f.text}}
	}
	old, err := c.commit(scratch, "", m, before...)
	if err != nil {
		return "", err
	}
	changed, err := c.commit(scratch, old, m, git.File{Path: name, Content: after})
	if err != nil {
		return "", err
	}
	return scratch.Diff(old, changed)
}
