package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/git/gitconfig"
)

// settings are what .git/config says.
type settings struct {
	url           string
	fetch         string // a refspec
	branch        string // that tracks origin, "" without one
	skipTLSVerify bool
	worktree      string // from the repository's folder, "" for its parent
	sparse        *sparse
	submodules    []submodule
}

func (c *cloning) settings() settings {
	s := settings{url: c.from.URL(), branch: c.ref.Branch(), skipTLSVerify: c.from.access.SkipTLSVerify,
		fetch: "+refs/heads/*:refs/remotes/origin/*", sparse: c.sparse}
	if c.level > 0 {
		s.worktree, _ = filepath.Rel(c.gitDir, c.Dir)
	}
	if c.Depth > 0 && s.branch != "" {
		// As git clone --depth does: other branches are fetched when asked for.
		s.fetch = fmt.Sprintf("+refs/heads/%s:refs/remotes/origin/%[1]s", s.branch)
	}
	return s
}

// initRepository makes dir a checkout of the repository in gitDir, or makes
// what is there one that follows these settings. Written by hand rather than by a library: the file
// is small, and nothing may come into it that was not asked for.
func initRepository(dir, gitDir string, s settings) (*Repository, error) {
	for _, sub := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags", "info"} {
		if err := os.MkdirAll(filepath.Join(gitDir, sub), 0o777); err != nil {
			return nil, writable(err, dir)
		}
	}
	head := "ref: refs/heads/" + s.branch + "\n"
	if s.branch == "" {
		head = "ref: refs/heads/main\n"
	}
	if err := writeMissing(filepath.Join(gitDir, "HEAD"), head); err != nil {
		return nil, writable(err, dir)
	}
	if err := writeWhole(filepath.Join(gitDir, "config"), s.text(keepsModes(gitDir))); err != nil {
		return nil, writable(err, dir)
	}
	if s.sparse != nil {
		if err := writeWhole(filepath.Join(gitDir, "info", "sparse-checkout"), s.sparse.text()); err != nil {
			return nil, writable(err, dir)
		}
	}
	return Open(dir)
}

// keepsModes reports whether the file system knows an executable from another
// file. Some network volumes show every file as executable.
func keepsModes(gitDir string) bool {
	info, err := os.Lstat(filepath.Join(gitDir, "HEAD"))
	return err != nil || info.Mode()&0o111 == 0
}

func (s settings) text(modes bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[core]\n\trepositoryformatversion = 0\n\tfilemode = %t\n\tbare = false\n\tlogallrefupdates = true\n", modes)
	if s.worktree != "" {
		fmt.Fprintf(&b, "\tworktree = %s\n", gitconfig.Value(filepath.ToSlash(s.worktree)))
	}
	if s.sparse != nil {
		b.WriteString("\tsparseCheckout = true\n")
	}
	if s.skipTLSVerify {
		b.WriteString("[http]\n\tsslVerify = false\n")
	}
	fmt.Fprintf(&b, "[remote \"origin\"]\n\turl = %s\n\tfetch = %s\n", gitconfig.Value(s.url), gitconfig.Value(s.fetch))
	if s.branch != "" {
		fmt.Fprintf(&b, "%s\n\tremote = origin\n\tmerge = %s\n", gitconfig.Header("branch", s.branch), gitconfig.Value("refs/heads/"+s.branch))
	}
	for _, m := range s.submodules {
		fmt.Fprintf(&b, "%s\n\tactive = true\n\turl = %s\n", gitconfig.Header("submodule", m.name), gitconfig.Value(m.url))
	}
	return b.String()
}

func writeMissing(path, text string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeWhole(path, text)
}

// writeWhole replaces a file in one step.
func writeWhole(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
