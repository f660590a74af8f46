package git

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// LocalRef is where a ref of this repository is. ErrNotFound without one.
func (r *Repository) LocalRef(name string) (Hash, error) {
	ref, err := r.store.Reference(plumbing.ReferenceName(name))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, notFound(err))
	}
	return toHash(ref.Hash()), nil
}

// SetRef moves a ref of this repository, whatever it was. Old refs that Git
// cannot keep beside it are dropped: refs/heads/a and refs/heads/a/b exclude
// each other, and a host that has the one no longer has the other.
func (r *Repository) SetRef(name string, to Hash) error {
	if err := checkRef(name); err != nil {
		return err
	}
	if to.IsZero() {
		return r.store.RemoveReference(plumbing.ReferenceName(name))
	}
	if err := r.makeRoom(name); err != nil {
		return fmt.Errorf("make room for %s: %w", name, writable(err, r.gitDir))
	}
	return r.store.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(name), fromHash(to)))
}

// excludes reports whether Git cannot keep two different refs at a time: refs
// are files.
func excludes(a, b string) bool {
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// makeRoom drops the refs that a ref excludes, their logs, and folders that are
// left of others.
func (r *Repository) makeRoom(name string) error {
	if r.common == "" {
		return nil
	}
	root, err := os.OpenRoot(r.common)
	if err != nil {
		return err
	}
	defer root.Close()
	dropped, err := dropPacked(root, func(packed string) bool { return excludes(packed, name) })
	if err != nil {
		return err
	}
	for _, at := range []string{name, "logs/" + name} {
		loose, err := clearWay(root, at)
		if err != nil {
			return err
		}
		dropped = append(dropped, loose...)
	}
	dropped = slices.DeleteFunc(dropped, func(ref string) bool { return !strings.HasPrefix(ref, "refs/") })
	if len(dropped) > 0 {
		slices.Sort(dropped)
		slog.Warn("dropped old refs of this folder that are in the way", "of", name, "dropped", slices.Compact(dropped))
	}
	return nil
}

// clearWay deletes what keeps a file from being written at a path: files where
// its folders belong, a folder in its place. It tells which files went.
func clearWay(root *os.Root, at string) (gone []string, err error) {
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		info, err := root.Lstat(dir)
		if err != nil || info.IsDir() {
			continue
		}
		if err := root.Remove(dir); err != nil {
			return gone, err
		}
		gone = append(gone, dir)
	}
	if info, err := root.Lstat(at); err != nil || !info.IsDir() {
		return gone, nil
	}
	err = fs.WalkDir(root.FS(), at, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			gone = append(gone, path)
		}
		return err
	})
	return gone, errors.Join(err, root.RemoveAll(at))
}

// dropPacked takes refs out of packed-refs, each with the line of its tag's
// commit, and tells which. The file is replaced whole, or stays as it is.
func dropPacked(root *os.Root, unwanted func(name string) bool) (dropped []string, err error) {
	text, err := root.ReadFile("packed-refs")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	var kept bytes.Buffer
	drops := false // the ref of the last line but for peeled ones
	for line := range bytes.Lines(text) {
		if line[0] != '^' {
			_, name, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
			if drops = line[0] != '#' && unwanted(name); drops {
				dropped = append(dropped, name)
			}
		}
		if !drops {
			kept.Write(line)
		}
	}
	if len(dropped) == 0 {
		return nil, nil
	}
	const replacement = "packed-refs.new" // git's own name, packed-refs.lock, would be taken for a lock
	if err := root.WriteFile(replacement, kept.Bytes(), 0o644); err != nil {
		return nil, err
	}
	return dropped, root.Rename(replacement, "packed-refs")
}

// knownHashes are what the refs of this repository point to. What cannot be
// read is left out, such as a file that a program left empty when it was
// stopped: nothing is fetched less for it.
func (r *Repository) knownHashes() ([]plumbing.Hash, error) {
	if r.common == "" {
		return r.storedHashes()
	}
	root, err := os.OpenRoot(r.common)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var known []plumbing.Hash
	add := func(text []byte) {
		if h, ok := ParseHash(strings.TrimSpace(string(text))); ok {
			known = append(known, fromHash(h))
		}
	}
	if packed, err := root.ReadFile("packed-refs"); err == nil {
		for line := range bytes.Lines(packed) {
			hash, _, _ := bytes.Cut(line, []byte(" "))
			add(hash)
		}
	}
	err = fs.WalkDir(root.FS(), "refs", func(at string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasSuffix(at, ".lock") {
			text, _ := root.ReadFile(at)
			add(text)
		}
		return nil
	})
	if _, head, err := r.Head(); err == nil {
		known = append(known, fromHash(head))
	}
	return known, err
}

// storedHashes is knownHashes for a repository in memory.
func (r *Repository) storedHashes() (known []plumbing.Hash, err error) {
	refs, err := r.store.IterReferences()
	if err != nil {
		return nil, err
	}
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference {
			known = append(known, ref.Hash())
		}
		return nil
	})
	return known, err
}
