package git

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// NotesRef holds the deployment records: git log --notes=lockstep shows them.
const NotesRef = "refs/notes/lockstep"

// AppendNote adds one line to the note of a commit in NotesRef at the remote.
// Racing others is safe: whoever is late adds to what is there by then. A line
// that is the note's last already is not written again.
func (r *Remote) AppendNote(ctx context.Context, commit Hash, line string, by Signature) error {
	if _, ok := ParseHash(string(commit)); !ok || strings.ContainsAny(line, "\n\r") || line == "" {
		return fault.Usage("InvalidNote", fmt.Errorf("note %q on %q: %w: one line on one commit", line, commit, ErrInvalid), "")
	}
	scratch := NewMemory()
	err := r.race(ctx, 0, func(ctx context.Context) error { return r.appendNote(ctx, scratch, commit, line, by) })
	if errors.Is(err, ErrMoved) {
		return fault.Retryable("NoteNotWritten", fmt.Errorf("append a note to %s: %w", commit.Short(), err),
			"Other notes were written faster each time. Try again.")
	}
	return err
}

const (
	// longestRace is the longest pause after a race was lost: the winner is done by then.
	longestRace = time.Second
	// raceFor bounds all its runs. It is long: unlike a server that is down,
	// others who write are a reason to stay.
	raceFor = 5 * time.Minute
)

// race runs what others were faster at again, at most so many times; 0: as
// often as there is time for.
func (r *Remote) race(ctx context.Context, tries int, run func(context.Context) error) error {
	policy := retry.Policy{For: r.raceFor, Tries: tries, Longest: longestRace, Of: NotesRef + " of " + r.URL(), Hide: r.keys.redact}
	return policy.Do(ctx, func(err error) (time.Duration, bool) { return 0, errors.Is(err, ErrMoved) }, run)
}

func (r *Remote) appendNote(ctx context.Context, scratch *Repository, commit Hash, line string, by Signature) error {
	tip, err := r.notes(ctx, scratch)
	if err != nil {
		return err
	}
	path, note, err := scratch.note(tip, commit)
	if err != nil {
		return err
	}
	if note == line || strings.HasSuffix(note, "\n"+line) {
		return nil
	}
	if note != "" {
		note += "\n"
	}
	next, err := scratch.Commit(CommitOptions{
		Parent: tip, Author: by, Message: "Note on " + string(commit),
		Files: []File{{Path: path, Content: []byte(note + line + "\n"), Mode: Regular}},
	})
	if err != nil {
		return err
	}
	return r.Push(ctx, scratch, Update{Ref: NotesRef, Old: tip, New: next})
}

// notes fetches the notes as they are now; Zero when there are none yet.
func (r *Remote) notes(ctx context.Context, scratch *Repository) (tip Hash, err error) {
	err = r.race(ctx, 10, func(ctx context.Context) (err error) {
		tip, err = r.notesOnce(ctx, scratch)
		return err
	})
	return tip, err
}

// notesOnce gives ErrMoved when somebody wrote a note between question and
// fetch and the server hands out only what a ref points to.
func (r *Remote) notesOnce(ctx context.Context, scratch *Repository) (Hash, error) {
	refs, err := r.Refs(ctx, NotesRef)
	if err != nil {
		return "", err
	}
	for _, ref := range refs {
		if ref.Name == NotesRef {
			return ref.Hash, r.FetchTips(ctx, scratch, ref.Hash)
		}
	}
	return Zero, nil
}

// ReadNotes reads the notes of these commits from NotesRef at the remote, in
// one fetch, without a final newline. Commits without a note are missing in
// the answer.
func (r *Remote) ReadNotes(ctx context.Context, commits ...Hash) (map[Hash]string, error) {
	scratch := NewMemory()
	tip, err := r.notes(ctx, scratch)
	if err != nil || tip.IsZero() {
		return nil, err
	}
	found := map[Hash]string{}
	for _, commit := range commits {
		_, note, err := scratch.note(tip, commit)
		if err != nil {
			return nil, err
		}
		if note != "" {
			found[commit] = note
		}
	}
	return found, nil
}

// AllNotes reads every note of NotesRef at the remote by its commit, in one
// fetch, without final newlines. Entries that name no commit are left out.
func (r *Remote) AllNotes(ctx context.Context) (map[Hash]string, error) {
	scratch := NewMemory()
	tip, err := r.notes(ctx, scratch)
	if err != nil || tip.IsZero() {
		return nil, err
	}
	tree, err := scratch.treeHash(tip)
	if err != nil {
		return nil, err
	}
	found := map[Hash]string{}
	err = scratch.walk(tree, "", func(path string, e object.TreeEntry) error {
		commit, ok := ParseHash(strings.ReplaceAll(path, "/", ""))
		if !ok || !e.Mode.IsFile() {
			return nil
		}
		text, err := scratch.blob(e.Hash)
		found[commit] = strings.TrimSuffix(string(text), "\n")
		return err
	})
	return found, err
}

// note finds a commit's note and its path. Git spreads notes over folders of
// two digits each, as deep as it likes; a new one goes one folder deep.
func (r *Repository) note(tip, commit Hash) (path, text string, err error) {
	name := string(commit)
	fresh := name[:2] + "/" + name[2:]
	for _, path := range []string{fresh, name, name[:2] + "/" + name[2:4] + "/" + name[4:]} {
		content, err := r.Read(tip, path)
		if err == nil {
			return path, strings.TrimSuffix(string(content), "\n"), nil
		}
		if !errors.Is(err, ErrNotFound) {
			return "", "", err
		}
	}
	return fresh, "", nil
}
