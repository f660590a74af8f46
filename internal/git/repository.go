package git

// Repository is a local store of objects: a checkout on disk or memory only.
// It is not safe for use by several goroutines at once.
type Repository struct{ dir string }

// Open opens the checkout at path, the folder that holds .git.
// ErrNotFound when there is none.
func Open(path string) (*Repository, error) { return nil, errLater }

// NewMemory is an empty store without a worktree, for work that needs no
// files: fetch a tip, commit on it, push.
func NewMemory() *Repository { return &Repository{} }

// Dir is the worktree's folder, "" in memory.
func (r *Repository) Dir() string { return r.dir }

// RemoteURL is the URL of origin without user and password, "" without one.
func (r *Repository) RemoteURL() string { return "" }

// Head is the branch that is checked out ("main"; "" when HEAD is detached)
// and its commit. ErrNotFound before the first commit.
func (r *Repository) Head() (branch string, commit Hash, err error) { return "", "", errLater }

// Read reads a file of a commit. ErrNotFound when the path is no file there,
// ErrSymlink when it is, or leads through, a symbolic link.
func (r *Repository) Read(commit Hash, path string) ([]byte, error) { return nil, errLater }

// Changes compares the worktree with HEAD: what Git would call modified,
// deleted and untracked, without what .gitignore excludes and without
// lost+found. Sorted by path.
func (r *Repository) Changes() ([]File, error) { return nil, errLater }

// CommitOptions describes a commit to be made.
type CommitOptions struct {
	Parent    Hash   // Zero: a first commit
	Files     []File // what differs from the parent
	Message   string
	Author    Signature
	Committer Signature // the zero value: the author
}

// Commit makes the objects of a commit. No ref and no file of the worktree
// changes. When the files equal the parent's, the answer is Parent itself.
func (r *Repository) Commit(c CommitOptions) (Hash, error) { return "", errLater }

// ChangedPaths lists the paths that differ between two commits, sorted.
// Zero stands for the empty tree.
func (r *Repository) ChangedPaths(from, to Hash) ([]string, error) { return nil, errLater }

// Ancestor decides whether a is an ancestor of b (or b itself), as far as
// the local history reaches.
func (r *Repository) Ancestor(a, b Hash) (Ancestry, error) { return Unknown, errLater }

// Reset moves the branch to the commit, makes it HEAD, and updates the files
// that differ between HEAD and the commit; others, changed or untracked, stay.
func (r *Repository) Reset(branch string, commit Hash) error { return errLater }

// CommitInfo is what a commit says about itself.
type CommitInfo struct {
	Hash      Hash
	Parents   []Hash
	Author    Signature
	Committer Signature
	Message   string
}

// Info reads a commit. ErrNotFound when it is not here.
func (r *Repository) Info(commit Hash) (CommitInfo, error) { return CommitInfo{}, errLater }

// Log walks back from a commit along first parents, newest first, until
// visit returns false or the local history ends.
func (r *Repository) Log(from Hash, visit func(CommitInfo) bool) error { return errLater }

// Tag makes an annotated tag object for a commit. No ref is created: Push it.
func (r *Repository) Tag(name string, commit Hash, message string, by Signature) (Hash, error) {
	return "", errLater
}
