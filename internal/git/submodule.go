package git

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/credential"
	"github.com/lockstep-cd/lockstep/internal/git/gitconfig"
)

// deepestSubmodule bounds submodules of submodules: two repositories may
// contain each other.
const deepestSubmodule = 8

// submodule is an entry of .gitmodules.
type submodule struct{ name, path, url string }

// submodules checks out the submodules of a commit and theirs. Each has its
// own remote, so credentials go only to the hosts they are meant for.
func (c *cloning) submodules(ctx context.Context, commit Hash) error {
	modules, err := c.repo.submodules(commit)
	if err != nil {
		return err
	}
	var done []submodule
	for _, m := range modules {
		if !c.wants(m.path) {
			continue
		}
		pinned, err := c.repo.pinned(commit, m.path)
		if err != nil {
			return err
		}
		if pinned == "" || c.sparse.leavesOut(m.path) {
			continue
		}
		if m.url, err = c.submodule(ctx, m, pinned); err != nil {
			return fmt.Errorf("submodule %s: %w", m.path, err)
		}
		done = append(done, m)
	}
	if len(done) == 0 {
		return nil
	}
	s := c.settings()
	s.submodules = done
	return writeWhole(filepath.Join(c.repo.gitDir, "config"), s.text(keepsModes(c.repo.gitDir)))
}

// wants applies the list of paths: a path stands for itself and all below.
func (c *cloning) wants(at string) bool {
	if len(c.SubmodulePaths) == 0 || c.level > 0 {
		return true
	}
	return slices.ContainsFunc(c.SubmodulePaths, func(p string) bool {
		p = path.Clean(strings.TrimSpace(p))
		return p == "." || at == p || strings.HasPrefix(at, p+"/")
	})
}

// submodules reads .gitmodules of a commit. It may come from anybody who can
// push, so names and paths are held against the rules for trees.
func (r *Repository) submodules(commit Hash) ([]submodule, error) {
	text, err := r.Read(commit, ".gitmodules")
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	parsed, err := gitconfig.Parse(text)
	if err != nil {
		return nil, fault.Refused("InvalidSubmodules", fmt.Errorf("read .gitmodules at %s: %w", commit.Short(), err), "")
	}
	var all []submodule
	for _, name := range parsed.Subsections("submodule") {
		m := submodule{name: name, path: parsed.Get("submodule", name, "path"), url: parsed.Get("submodule", name, "url")}
		if m.path == "" || m.url == "" || parsed.Get("submodule", name, "update") == "none" {
			continue
		}
		if strings.HasPrefix(m.path, "-") || checkPath(m.path) != nil || checkPath(m.name) != nil {
			return nil, fault.Refused("InvalidSubmodules", fmt.Errorf("%w: submodule %.100q at %.100q", ErrUnsafeTree, m.name, m.path), "")
		}
		all = append(all, m)
	}
	return all, nil
}

// pinned is the commit that a tree names for a submodule, "" for none.
func (r *Repository) pinned(commit Hash, at string) (Hash, error) {
	tree, err := r.treeHash(commit)
	if err != nil {
		return "", err
	}
	var found Hash
	err = r.walk(tree, "", func(p string, e object.TreeEntry) error {
		if p == at && e.Mode == filemode.Submodule {
			found = toHash(e.Hash)
		}
		return nil
	})
	return found, err
}

// submodule clones one, its repository under .git/modules as the git program
// puts it.
func (c *cloning) submodule(ctx context.Context, m submodule, pinned Hash) (string, error) {
	if c.level >= deepestSubmodule {
		return "", fault.Refused("InvalidSubmodules", fmt.Errorf("%w: more than %d levels of submodules", ErrInvalid, deepestSubmodule), "")
	}
	from, err := c.from.submodule(m.url)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(c.Dir, filepath.FromSlash(m.path))
	gitDir := filepath.Join(c.repo.gitDir, "modules", filepath.FromSlash(m.name))
	inner := &cloning{
		CloneOptions: CloneOptions{Dir: dir, Revision: string(pinned), Depth: c.Depth, Submodules: true},
		from:         from, ref: Ref{Hash: pinned}, gitDir: gitDir, level: c.level + 1,
	}
	if err := linkModule(dir, gitDir); err != nil {
		return "", writable(err, dir)
	}
	return from.URL(), inner.run(ctx)
}

// linkModule makes the .git file of a submodule's checkout. The folder was
// made by the checkout just now and is a real one.
func linkModule(dir, gitDir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	to, err := filepath.Rel(dir, gitDir)
	if err != nil {
		return err
	}
	return root.WriteFile(".git", []byte("gitdir: "+filepath.ToSlash(to)+"\n"), 0o644)
}

// submodule is the remote of a submodule: its own host and credentials, the
// same certificates and proxies.
func (r *Remote) submodule(text string) (*Remote, error) {
	target, err := r.relative(text)
	if err != nil {
		return nil, err
	}
	a := r.access
	a.home = r.keys.home()
	sub, err := NewRemote(target, a)
	if err != nil {
		return nil, err
	}
	if sub.keys.target.scheme == "file" && r.keys.target.scheme != "file" {
		return nil, fault.Refused("InvalidSubmodules", fmt.Errorf("%s: %w: a path on this machine", sub.URL(), ErrInvalid),
			"A repository from elsewhere may not name files here.")
	}
	own := r.keys.target
	if own.password != "" && sub.keys.target.password == "" && sub.keys.target.scheme == own.scheme &&
		credential.SameHost(sub.keys.target.httpURL(), own.httpURL()) {
		sub.keys.target.user, sub.keys.target.password = own.user, own.password
		sub.keys.secrets = append(sub.keys.secrets, own.password)
	}
	return sub, nil
}

// relative resolves ./ and ../ against this remote's URL.
func (r *Remote) relative(text string) (string, error) {
	if !strings.HasPrefix(text, "./") && !strings.HasPrefix(text, "../") {
		return text, nil
	}
	a := r.address
	joined := path.Join(a.path, text)
	if u, err := url.Parse(a.text); err == nil && u.Host != "" {
		u.Path, u.RawPath = joined, ""
		return u.String(), nil
	}
	if a.scheme == "ssh" {
		user := ""
		if a.user != "" {
			user = a.user + "@"
		}
		return user + a.host + ":" + joined, nil
	}
	return joined, nil
}
