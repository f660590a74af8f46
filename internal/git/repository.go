package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/gitconfig"
	"github.com/lockstep-cd/lockstep/internal/redact"
)

// Repository is a local store of objects: a checkout on disk or memory only.
// It is not safe for use by several goroutines at once.
type Repository struct {
	dir    string // of the worktree, "" in memory
	gitDir string // of HEAD and index, "" in memory
	common string // of config and refs: gitDir, but for a linked worktree
	store  storage.Storer
	// fetched are commits that a remote gave us and that no ref here names.
	fetched []plumbing.Hash
	// pretend are commits to be named as known although they are not here, for
	// a fetch that only wants what came after them.
	pretend []string
}

// NewMemory is an empty store without a worktree, for work that needs no
// files: fetch a tip, commit on it, push.
func NewMemory() *Repository { return &Repository{store: memory.NewStorage()} }

// Open opens the checkout at path, the folder that holds .git.
// ErrNotFound when there is none.
func Open(path string) (*Repository, error) {
	gitDir, common, err := findGitDir(path)
	if err != nil {
		return nil, fault.Usage("NotARepository", fmt.Errorf("open %s: %w", path, err),
			"Give the folder of a Git checkout, the one that holds .git.")
	}
	r := &Repository{dir: path, gitDir: gitDir, common: common, store: openStore(gitDir, common)}
	settings, err := r.settings()
	if err != nil {
		return nil, fault.Usage("NotARepository", fmt.Errorf("open %s: %w", path, err), "Correct the file, or clone again.")
	}
	if format := settings.Get("extensions", "", "objectFormat"); format != "" && format != "sha1" {
		return nil, fault.Refused("UnsupportedRepository", fmt.Errorf("open %s: its objects are named by %s", path, format),
			"Only repositories with SHA-1 object names are supported.")
	}
	return r, nil
}

// findGitDir follows the .git file of a linked worktree or a submodule.
func findGitDir(path string) (gitDir, common string, err error) {
	gitDir = filepath.Join(path, ".git")
	info, err := os.Stat(gitDir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("no Git repository there: %w", ErrNotFound)
	}
	if err != nil {
		return "", "", err
	}
	if !info.IsDir() {
		if gitDir, err = readPointer(gitDir, "gitdir:", path); err != nil {
			return "", "", err
		}
	}
	common = gitDir
	if target, err := readPointer(filepath.Join(gitDir, "commondir"), "", gitDir); err == nil {
		common = target
	}
	return gitDir, common, nil
}

// readPointer reads a file that names another folder.
func readPointer(file, prefix, base string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	target, ok := strings.CutPrefix(strings.TrimSpace(string(b)), prefix)
	if !ok {
		return "", fmt.Errorf("%s: %w: no %s line", file, ErrInvalid, prefix)
	}
	if target = strings.TrimSpace(target); !filepath.IsAbs(target) {
		target = filepath.Join(base, target)
	}
	return target, nil
}

// openStore bounds every path below the folder, so that a crafted name in the
// repository's own files cannot lead out of it.
func openStore(gitDir, common string) storage.Storer {
	var files billy.Filesystem = osfs.New(gitDir, osfs.WithBoundOS())
	if common != gitDir {
		files = dotgit.NewRepositoryFilesystem(files, osfs.New(common, osfs.WithBoundOS()))
	}
	return filesystem.NewStorageWithOptions(files, cache.NewObjectLRUDefault(), filesystem.Options{KeepDescriptors: true})
}

// Dir is the worktree's folder, "" in memory.
func (r *Repository) Dir() string { return r.dir }

// RemoteURL is the URL of origin without password, "" without one.
func (r *Repository) RemoteURL() string {
	url := r.origin()
	if a, err := parseAddress(url); err == nil {
		return a.text
	}
	return redact.URL(url)
}

// origin may hold a password: a person's git program keeps what it was given.
func (r *Repository) origin() string {
	settings, err := r.settings()
	if err != nil {
		return ""
	}
	urls := settings.All("remote", "origin", "url")
	if len(urls) == 0 {
		return ""
	}
	return settings.InsteadOf(urls[0])
}

// settings are what the repository's config file says; nil in memory. A link
// that leads out of the folder is not followed.
func (r *Repository) settings() (*gitconfig.File, error) {
	if r.common == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(r.common)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	text, err := root.ReadFile("config")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	settings, err := gitconfig.Parse(text)
	if err != nil {
		err = fmt.Errorf("read %s: %w", filepath.Join(r.common, "config"), err)
	}
	return settings, err
}

// Origin is the remote that the checkout came from, with the credentials that
// its URL may hold.
func (r *Repository) Origin(a Access) (*Remote, error) {
	url := r.origin()
	if url == "" {
		return nil, fault.Usage("NoOrigin", fmt.Errorf("%s has no remote origin: %w", r.dir, ErrNotFound),
			"Give the repository's URL.")
	}
	return NewRemote(url, a)
}

// Head is the branch that is checked out ("main"; "" when HEAD is detached)
// and its commit. ErrNotFound before the first commit; the branch is told
// then too.
func (r *Repository) Head() (branch string, commit Hash, err error) {
	head, err := r.store.Reference(plumbing.HEAD)
	if err != nil {
		return "", "", fmt.Errorf("read HEAD: %w", notFound(err))
	}
	if head.Type() == plumbing.HashReference {
		return "", toHash(head.Hash()), nil
	}
	branch = strings.TrimPrefix(head.Target().String(), "refs/heads/")
	tip, err := r.store.Reference(head.Target())
	if err != nil {
		return branch, "", fmt.Errorf("read %s: %w", head.Target(), notFound(err))
	}
	return branch, toHash(tip.Hash()), nil
}

func toHash(h plumbing.Hash) Hash   { return Hash(h.String()) }
func fromHash(h Hash) plumbing.Hash { return plumbing.NewHash(string(h)) }

// notFound gives the library's ways of saying "not there" one sentinel.
func notFound(err error) error {
	if errors.Is(err, plumbing.ErrReferenceNotFound) || errors.Is(err, plumbing.ErrObjectNotFound) {
		return fmt.Errorf("%w (%w)", ErrNotFound, err)
	}
	return err
}
