package git

import (
	"context"
	"errors"
)

var errLater = errors.New("not implemented")

// Remote is a repository elsewhere and the means to reach it.
type Remote struct {
	url    string
	access Access
}

// NewRemote checks the URL (https, http, ssh, user@host:path, file, or a
// plain path) and takes credentials out of it. Nothing is contacted. A URL
// that cannot be right gives ErrInvalid as a usage fault.
func NewRemote(url string, a Access) (*Remote, error) { return &Remote{url: url, access: a}, nil }

// URL is where the remote is, without user and password: fit to be stored,
// shown and logged.
func (r *Remote) URL() string { return r.url }

// Tip finds one ref. ref is "" for the remote's HEAD, a branch ("main"), a
// tag ("v1"; a branch of the same name wins), or a full name ("refs/…").
// ErrNotFound when there is none, ErrEmptyRepository when there is no ref at all.
func (r *Remote) Tip(ctx context.Context, ref string) (Ref, error) { return Ref{}, errLater }

// Refs lists the refs whose full names start with prefix, sorted by name.
// None is no error.
func (r *Remote) Refs(ctx context.Context, prefix string) ([]Ref, error) { return nil, errLater }

// Fetch brings ref.Hash and its history into the repository, depth commits
// deep (0: all of it). A ref with a Hash and no Name fetches that commit
// wherever the server lets it be reached. No local branch moves; for a branch
// the remote-tracking ref does.
func (r *Remote) Fetch(ctx context.Context, into *Repository, ref Ref, depth int) error {
	return errLater
}

// Push moves refs at the remote, sending the objects it lacks. Several
// updates happen all or none where the server can do that. The answers:
//
//   - nil: every ref is at New, or at a commit descending from it (also when
//     the server's answer was lost on the way and the ref was read again);
//   - ErrMoved: some ref was not at Old;
//   - ErrRefused, as a refused fault "PushRejected" with the server's words:
//     the ref is still at Old and the server does not want the update.
//
// A branch only ever moves forward: New must descend from Old, else
// ErrInvalid. Other refs may be replaced.
func (r *Remote) Push(ctx context.Context, from *Repository, updates ...Update) error {
	return errLater
}

// AppendNote adds one line to the note of a commit in refs/notes/lockstep at
// the remote, racing others safely. The same line twice in a row is written
// once. The line may not contain a newline.
func (r *Remote) AppendNote(ctx context.Context, commit Hash, line string, by Signature) error {
	return errLater
}

// ReadNotes reads the notes of these commits from refs/notes/lockstep at the
// remote, in one fetch. Commits without a note are missing in the answer.
func (r *Remote) ReadNotes(ctx context.Context, commits ...Hash) (map[Hash]string, error) {
	return nil, errLater
}
