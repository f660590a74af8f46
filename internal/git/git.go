// Package git reads and writes Git repositories without the git program: it
// finds where a ref is (Remote.Tip), fetches the objects of a commit
// (Remote.Fetch), and moves a ref by compare-and-swap (Remote.Push). These
// three are the seams to the wire; a faster transport replaces what is behind
// them, not their callers.
//
// A Remote is a repository elsewhere together with the credentials to reach
// it. A Repository is local: a checkout on disk (Open, Clone) or a scratch
// store in memory (NewMemory). Committing makes objects only; no ref moves
// before Push or Reset moves it, so an interrupted program leaves nothing
// half-done.
//
// Nothing here ever forces a push: the old value of every ref is the caller's,
// and the server refuses the update when the ref has moved.
//
// Errors carry a fault where their meaning for the user is known; callers
// branch with errors.Is on the sentinels of this package.
package git

import (
	"errors"
	"strings"
	"time"
)

// Sentinels for callers that branch. Each comes wrapped with what was tried.
var (
	// ErrNotFound: the ref, commit, path or note does not exist.
	ErrNotFound = errors.New("not found")
	// ErrEmptyRepository: the remote has no commit at all.
	ErrEmptyRepository = errors.New("repository is empty")
	// ErrMoved: the ref is not where the caller said. Read the tip again,
	// replay, push again.
	ErrMoved = errors.New("ref has moved")
	// ErrRefused: the server refused the update although the ref had not
	// moved: a protected branch, a hook, missing rights. A retry cannot help.
	ErrRefused = errors.New("refused by the server")
	// ErrAuthentication: the server did not accept the credentials, also not
	// after they were read again.
	ErrAuthentication = errors.New("authentication failed")
	// ErrInvalid: a URL, ref name, path or revision that is never right,
	// found before anything was touched.
	ErrInvalid = errors.New("invalid")
	// ErrUnsafeTree: a tree holds an entry that git fsck refuses, such as
	// .git, .., or the same name twice.
	ErrUnsafeTree = errors.New("unsafe tree")
	// ErrSymlink: the path leads through a symbolic link.
	ErrSymlink = errors.New("is a symbolic link")
)

// Hash is an object name: 40 lower-case hexadecimal digits.
type Hash string

// Zero stands for "no object": a ref that is or must be absent.
const Zero Hash = "0000000000000000000000000000000000000000"

// IsZero reports whether h names no object. The empty string counts.
func (h Hash) IsZero() bool { return h == "" || h == Zero }

// Short is the first 12 digits, as run names and result tables show them.
func (h Hash) Short() string { return string(h[:min(12, len(h))]) }

// ParseHash accepts 40 hexadecimal digits in either case.
func ParseHash(s string) (Hash, bool) {
	if len(s) != len(Zero) {
		return "", false
	}
	s = strings.ToLower(s)
	if strings.Trim(s, "0123456789abcdef") != "" {
		return "", false
	}
	return Hash(s), true
}

// Ref is a full ref name ("refs/heads/main") and the object it points to. For
// an annotated tag, Hash is the tag object and Peeled the commit behind it;
// otherwise Peeled is empty.
type Ref struct {
	Name   string
	Hash   Hash
	Peeled Hash
}

// Commit is the commit the ref stands for, through an annotated tag.
func (r Ref) Commit() Hash {
	if r.Peeled != "" {
		return r.Peeled
	}
	return r.Hash
}

// Branch is the name without refs/heads/, or "" when the ref is no branch.
func (r Ref) Branch() string {
	b, ok := strings.CutPrefix(r.Name, "refs/heads/")
	if !ok {
		return ""
	}
	return b
}

// Signature says who made a commit, a tag or a note, and when.
type Signature struct {
	Name, Email string
	When        time.Time
}

// Mode is a file's mode in a tree, as Git writes it.
type Mode uint32

// The modes of files that Git keeps. Folders have none: they come and go with
// their files.
const (
	Regular    Mode = 0o100644
	Executable Mode = 0o100755
	Symlink    Mode = 0o120000
	Submodule  Mode = 0o160000
)

// File is one file of a change: new content, or its removal.
type File struct {
	Path    string // slash-separated, relative to the repository's root
	Content []byte // of a Symlink: its target
	Mode    Mode   // 0 keeps the mode the file has, or Regular when it is new
	Deleted bool
}

// Ancestry answers whether a commit is an ancestor of another.
type Ancestry int

// The answers of Repository.Ancestor. The zero value is the careful one.
const (
	Unknown Ancestry = iota // the local history is cut before it could be decided
	Yes                     // a is b, or b descends from a
	No
)

// Update moves one ref at a remote by compare-and-swap.
type Update struct {
	Ref string // full name, "refs/…"
	Old Hash   // where the caller believes it to be; Zero: it must not exist
	New Hash   // where it shall be; Zero: delete it
	// Rebuild: Ref is a branch that is the caller's alone, such as that of a
	// pull request, so New need not descend from Old.
	Rebuild bool
}
