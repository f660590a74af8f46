package promotion

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Checkout is the files of a folder. Nothing outside of it is reached, and
// nothing through a symbolic link, since a repository's links were made by
// whoever could push to it.
type Checkout struct{ root *os.Root }

// OpenCheckout opens the folder; Close ends it.
func OpenCheckout(folder string) (*Checkout, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fault.Usage("FolderNotFound", fmt.Errorf("open checkout: %w", err), "Give the folder of the checkout.")
	}
	return &Checkout{root}, nil
}

// Close lets go of the folder.
func (c *Checkout) Close() error { return c.root.Close() }

// Read reads a file, at most one byte more than can be edited: larger ones are
// refused by the editor, not by memory.
func (c *Checkout) Read(name string) ([]byte, error) {
	if err := c.check(name); err != nil {
		return nil, err
	}
	f, err := c.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, notAFile(name)
	}
	return io.ReadAll(io.LimitReader(f, edit.MaxFile+1))
}

// Exists reports whether something stands at name.
func (c *Checkout) Exists(name string) (bool, error) {
	err := c.check(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// check walks to name without following links. fs.ErrNotExist when nothing is
// there.
func (c *Checkout) check(name string) error {
	if err := CheckPath(name); err != nil {
		return err
	}
	for i := range len(name) + 1 {
		if i < len(name) && name[i] != '/' {
			continue
		}
		info, err := c.root.Lstat(name[:i])
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return linkRefused(name[:i], errors.New("it is a symbolic link"))
		}
	}
	return nil
}

// CheckPath refuses what is no path inside a repository.
func CheckPath(name string) error {
	inGit := false
	for part := range strings.SplitSeq(name, "/") {
		inGit = inGit || strings.EqualFold(part, ".git")
	}
	if !fs.ValidPath(name) || inGit || strings.ContainsAny(name, "\\\x00") {
		return fault.Usage("InvalidPath", fmt.Errorf("%.200q is no path inside the repository", name),
			"Write it from the repository's root with slashes, without .. and without a slash in front.")
	}
	return nil
}

func linkRefused(name string, err error) error {
	return fault.Refused("SymbolicLink", fmt.Errorf("%s: %w", name, err),
		"Lockstep does not follow links in a repository. Replace it by the file itself.")
}

func notAFile(name string) error {
	return fault.Refused("NotAFile", fmt.Errorf("%s is no regular file", name), "")
}

// Write replaces a file whole, keeping its permissions: the content goes to a
// new file beside it that takes its name.
func (c *Checkout) Write(name string, content []byte) error {
	if err := c.check(name); err != nil {
		return err
	}
	info, err := c.root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return notAFile(name)
	}
	temporary := path.Join(path.Dir(name), fmt.Sprintf(".lockstep-%016x", rand.Uint64()))
	if err := c.writeNew(temporary, content, info.Mode().Perm()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := c.root.Rename(temporary, name); err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, c.root.Remove(temporary)))
	}
	return nil
}

func (c *Checkout) writeNew(name string, content []byte, mode fs.FileMode) error {
	f, err := c.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err != nil {
		return errors.Join(err, c.root.Remove(name))
	}
	return nil
}
