package promotion

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Work is what a commit shall bring: it is done anew on each tip that it is
// overtaken by.
type Work interface {
	// start is the tip that it is done on first.
	start() git.Hash
	// replay does it on a tip that r holds.
	replay(ctx context.Context, r *git.Repository, tip git.Hash) ([]Applied, []git.File, error)
}

// Change is Work that consists of edits: those that intents explain, and those
// that nobody explains.
type Change struct {
	Base    git.Hash // the commit that Plain was made on
	Intents []Intent
	Plain   []git.File
}

func (c Change) start() git.Hash { return c.Base }

// Split takes the files that differ from base and finds out which of them are
// just what the intents come to on base. The rest is Plain.
func Split(ctx context.Context, base Tree, at git.Hash, files []git.File, intents []Intent) (Change, error) {
	c := Change{Base: at, Intents: intents}
	applied, err := applyAll(ctx, base, nil, intents)
	if err != nil {
		return c, err
	}
	explained := contents(applied)
	for _, f := range files {
		if content, ok := explained[f.Path]; ok && !f.Deleted && bytes.Equal(content, f.Content) {
			continue
		}
		c.Plain = append(c.Plain, f)
	}
	return c, nil
}

// applyAll carries intents out one after the other, each on what the ones
// before left, starting from tree with changed laid over it.
func applyAll(ctx context.Context, tree Tree, changed map[string][]byte, intents []Intent) ([]Applied, error) {
	o := overlay{tree, maps.Clone(changed)}
	if o.files == nil {
		o.files = map[string][]byte{}
	}
	var all []Applied
	for _, i := range intents {
		a, err := Apply(ctx, o, i)
		if err != nil {
			return nil, err
		}
		maps.Copy(o.files, a.Files)
		all = append(all, a)
	}
	return all, nil
}

// contents are the files as the last of the applied intents left them.
func contents(applied []Applied) map[string][]byte {
	files := map[string][]byte{}
	for _, a := range applied {
		maps.Copy(files, a.Files)
	}
	return files
}

// replay carries a change out on tip. What the intents say is done again; the
// plain edits are taken over when nobody else touched their files since Base,
// and are refused for good otherwise, since only their author knows how the
// two fit together.
func (c Change) replay(ctx context.Context, r *git.Repository, tip git.Hash) ([]Applied, []git.File, error) {
	if err := c.checkPlain(r, tip); err != nil {
		return nil, nil, err
	}
	plain := map[string][]byte{}
	for _, f := range c.Plain {
		if !f.Deleted {
			plain[f.Path] = f.Content
		}
	}
	if err := c.checkHeld(ctx, CommitTree(r, tip)); err != nil {
		return nil, nil, err
	}
	applied, err := applyAll(ctx, CommitTree(r, tip), plain, c.Intents)
	if err != nil {
		return nil, nil, fmt.Errorf("on %s: %w", tip.Short(), err)
	}
	changed := contents(applied)
	files := slices.DeleteFunc(slices.Clone(c.Plain), func(f git.File) bool { _, again := changed[f.Path]; return again })
	return applied, append(files, filesOf(applied)...), nil
}

// filesOf are the contents as files of a commit, by path.
func filesOf(applied []Applied) []git.File {
	changed := contents(applied)
	var files []git.File
	for _, path := range slices.Sorted(maps.Keys(changed)) {
		files = append(files, git.File{Path: path, Content: changed[path], Deleted: changed[path] == nil})
	}
	return files
}

func (c Change) checkPlain(r *git.Repository, tip git.Hash) error {
	if len(c.Plain) == 0 || tip == c.Base {
		return nil
	}
	theirs, err := r.ChangedPaths(c.Base, tip)
	if err != nil {
		return fmt.Errorf("compare %s with %s: %w", c.Base.Short(), tip.Short(), err)
	}
	var both []string
	for _, f := range c.Plain {
		if slices.Contains(theirs, f.Path) && !sameAt(r, tip, f) {
			both = append(both, f.Path)
		}
	}
	if len(both) == 0 {
		return nil
	}
	return fault.Refused("EditConflict",
		fmt.Errorf("%s changed here and on the branch (%s) since %s", strings.Join(both, ", "), tip.Short(), c.Base.Short()),
		"Clone again and repeat the edit; or make it with bump-version, whose edits are replayed.")
}

// checkHeld refuses plain edits beside an intent that is held: what they have of it,
// such as its line of a lock, would be committed without it.
func (c Change) checkHeld(ctx context.Context, tree Tree) error {
	if len(c.Plain) == 0 {
		return nil
	}
	for _, i := range c.Intents {
		if a, err := Apply(ctx, tree, i); err == nil && a.Outcome == Waiting {
			return fault.Refused("Held", fmt.Errorf("%s: %s, and other edits were made with it", i.Application(), a.Held.Reason),
				"Commit the other edits alone; or try again when it is released.")
		}
	}
	return nil
}

// sameAt reports whether the tip has a plain edit already.
func sameAt(r *git.Repository, tip git.Hash, f git.File) bool {
	content, err := CommitTree(r, tip).Read(f.Path)
	if f.Deleted {
		return errors.Is(err, fs.ErrNotExist)
	}
	return err == nil && bytes.Equal(content, f.Content)
}
