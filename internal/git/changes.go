package git

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/lockstep-cd/lockstep/internal/git/gitconfig"
)

// Changes compares the worktree with HEAD: what Git would call modified,
// deleted and untracked, without what .gitignore excludes and without
// lost+found, which belongs to the volume. Sorted by path. Submodules and
// repositories inside the worktree are left alone.
func (r *Repository) Changes() ([]File, error) {
	_, head, err := r.Head()
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	tree, err := r.treeHash(head)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	c := &comparison{repo: r, root: root, tracked: map[string]bool{}}
	if c.index, err = r.indexed(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(filepath.Join(r.gitDir, "index")); err == nil {
		c.indexedAt = info.ModTime()
	}
	if c.useMode, err = r.usesFileMode(); err != nil {
		return nil, err
	}
	if err := r.walk(tree, "", c.known); err != nil {
		return nil, fmt.Errorf("compare with %s: %w", head.Short(), err)
	}
	if err := c.folder("", c.patterns(".git/info/exclude", nil)); err != nil {
		return nil, fmt.Errorf("look for new files: %w", err)
	}
	slices.SortFunc(c.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return c.files, nil
}

func (r *Repository) indexed() (map[string]*index.Entry, error) {
	idx, err := r.store.Index()
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	m := make(map[string]*index.Entry, len(idx.Entries))
	for _, e := range idx.Entries {
		m[e.Name] = e
	}
	return m, nil
}

func (r *Repository) usesFileMode() (bool, error) {
	settings, err := r.settings()
	if err != nil {
		return false, err
	}
	return !gitconfig.IsFalse(settings.Get("core", "", "filemode")), nil
}

// comparison collects what differs.
type comparison struct {
	repo    *Repository
	root    *os.Root
	index   map[string]*index.Entry
	tracked map[string]bool // files of HEAD and, with a / behind, submodules
	useMode bool
	// indexedAt is when the index was written: files as new as that may have
	// changed since.
	indexedAt time.Time
	files     []File
}

// known looks at a file that HEAD has.
func (c *comparison) known(at string, e object.TreeEntry) error {
	c.tracked[at] = true
	if e.Mode == filemode.Submodule {
		return nil
	}
	i := c.index[at]
	if i != nil && i.SkipWorktree {
		return nil
	}
	info, err := c.root.Lstat(at)
	if err != nil || info.IsDir() || throughLink(c.root, at) {
		c.files = append(c.files, File{Path: at, Deleted: true})
		return nil
	}
	if i != nil && i.Hash == e.Hash && i.Mode == e.Mode && c.untouched(i, info) {
		return nil
	}
	f, err := c.read(at, info)
	if err != nil {
		return err
	}
	if f.Mode != Symlink && (!c.useMode || e.Mode == filemode.Symlink) {
		f.Mode = Mode(e.Mode)
		if e.Mode == filemode.Symlink {
			f.Mode = Regular
		}
	}
	if plumbing.ComputeHash(plumbing.BlobObject, f.Content) != e.Hash || f.Mode != Mode(e.Mode) {
		c.files = append(c.files, f)
	}
	return nil
}

// untouched trusts the index as git does. CreatedAt is the time of the last
// change of the inode: a file that was written twice within one tick, with the
// same size, differs there or is as new as the index, and then it is read.
func (c *comparison) untouched(i *index.Entry, info fs.FileInfo) bool {
	now := &index.Entry{}
	fillStat(now, info)
	return int64(i.Size) == info.Size() && i.ModifiedAt.Equal(info.ModTime()) &&
		i.CreatedAt.Equal(now.CreatedAt) && i.ModifiedAt.Before(c.indexedAt)
}

func throughLink(root *os.Root, at string) bool { return (&worktree{root: root}).throughLink(at) }

func (c *comparison) read(at string, info fs.FileInfo) (File, error) {
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := c.root.Readlink(at)
		return File{Path: at, Content: []byte(target), Mode: Symlink}, err
	}
	content, err := c.root.ReadFile(at)
	f := File{Path: at, Content: content, Mode: Regular}
	if info.Mode()&0o100 != 0 {
		f.Mode = Executable
	}
	return f, err
}

// folder looks for files that HEAD does not have. dir is "" or ends with "/".
func (c *comparison) folder(dir string, ignored []gitignore.Pattern) error {
	ignored = c.patterns(dir+".gitignore", ignored)
	matcher := gitignore.NewMatcher(ignored)
	list, err := fs.ReadDir(c.root.FS(), path.Clean("./"+dir))
	if err != nil {
		return err
	}
	for _, e := range list {
		at := dir + e.Name()
		if wrongName(e.Name()) != "" || at == "lost+found" || c.tracked[at] ||
			matcher.Match(strings.Split(at, "/"), e.IsDir()) {
			continue
		}
		if e.IsDir() {
			if err := c.inside(at+"/", ignored); err != nil {
				return err
			}
			continue
		}
		if err := c.added(at, e); err != nil {
			return err
		}
	}
	return nil
}

// inside skips a folder that is a repository of its own.
func (c *comparison) inside(dir string, ignored []gitignore.Pattern) error {
	if _, err := c.root.Lstat(dir + ".git"); err == nil {
		return nil
	}
	return c.folder(dir, ignored)
}

func (c *comparison) added(at string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
		return nil // sockets, pipes and devices are nothing for Git
	}
	f, err := c.read(at, info)
	if err != nil {
		return err
	}
	if f.Mode == Executable && !c.useMode {
		f.Mode = Regular
	}
	c.files = append(c.files, f)
	return nil
}

// patterns adds those of one file to what the folders above ignore. A link in
// its place is not followed, as in git.
func (c *comparison) patterns(file string, above []gitignore.Pattern) []gitignore.Pattern {
	info, err := c.root.Lstat(file)
	if err != nil || !info.Mode().IsRegular() {
		return above
	}
	content, err := c.root.ReadFile(file)
	if err != nil {
		return above
	}
	var domain []string
	if dir := path.Dir(file); dir != "." && filepath.Base(file) == ".gitignore" {
		domain = strings.Split(dir, "/")
	}
	all := slices.Clone(above)
	for line := range bytes.Lines(content) {
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		all = append(all, gitignore.ParsePattern(text, domain))
	}
	return all
}
