package promotion

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Tree is one state of a repository's files: a checkout or a commit. Paths are
// slash-separated from its root. An absent file is fs.ErrNotExist; a symbolic
// link on the way is an error, never followed.
type Tree interface {
	Read(path string) ([]byte, error)
	Exists(path string) (bool, error)
}

// Applied is what an intent comes to on one state of the files.
type Applied struct {
	Intent  Intent             // with From and File as they are in this state
	Outcome Outcome            // Promoted: Files are to be written
	Files   map[string][]byte  // new contents by path; nil: the file goes
	Held    environment.Closed // of Waiting: by what
	// StaleLock is the lock of Promoted that was stale before and stays as it is:
	// what it should say is not known without the chart repositories.
	StaleLock string
}

// Warn tells of a lock that was stale. It is for the one who has written what
// was applied: until then the same is applied again and again.
func (a Applied) Warn(ctx context.Context) {
	if a.StaleLock != "" {
		slog.WarnContext(ctx, "lock was stale before and is left as it is",
			"file", a.StaleLock, "mend", "helm dependency update "+path.Dir(a.StaleLock))
	}
}

// Apply carries an intent out on tree, without writing anything. The file with
// the dependency is looked for again: a branch may have moved it between
// Chart.yaml and requirements.yaml.
//
// What nobody asks for by name is Waiting where a hold keeps it back, and a version
// that was rejected is a Refused fault VersionRejected for those who do.
func Apply(ctx context.Context, tree Tree, i Intent) (Applied, error) {
	if i.Mark != "" {
		return applyMark(tree, i)
	}
	applied, err := apply(ctx, tree, i)
	if err != nil {
		return Applied{}, err
	}
	if applied.Outcome == Promoted && i.Kind != Removal {
		if applied, err = restrain(tree, applied); err != nil {
			return Applied{}, err
		}
	}
	return held(tree, applied)
}

func apply(ctx context.Context, tree Tree, i Intent) (Applied, error) {
	switch i.Kind {
	case Dependency:
		return applyDependency(ctx, tree, i)
	case Removal:
		return applyRemoval(ctx, tree, i)
	case Entry, Value:
		return applyInFile(tree, i)
	}
	return Applied{}, fault.Usage("InvalidIntent", fmt.Errorf("intent of kind %q: unknown", i.Kind), "")
}

// Begin is Apply for a new intent, whose From is what stands in tree now.
func Begin(ctx context.Context, tree Tree, i Intent) (Applied, error) {
	if i.Mark != "" {
		return Apply(ctx, tree, i)
	}
	current, err := currentValue(tree, i)
	if err != nil {
		return Applied{}, err
	}
	i.From = current
	return Apply(ctx, tree, i)
}

// currentValue is what stands where an intent is about: "" where an entry is
// missing that may be.
func currentValue(tree Tree, i Intent) (string, error) {
	if i.inChart() {
		c, err := findChart(tree, path.Dir(i.File))
		if err != nil {
			return "", err
		}
		current, err := edit.DependencyVersion(c.text, i.selector())
		if i.mayBeAbsent() && errors.Is(err, edit.ErrNotFound) {
			return "", nil
		}
		return current, at(c.file, err)
	}
	text, err := readFile(tree, i)
	if err != nil {
		return "", err
	}
	if i.Kind == Entry {
		entry, err := edit.FindEntry(text, i.Name)
		return entry.Version, at(i.File, err)
	}
	current, err := edit.Value(text, i.Name)
	return current, at(i.File, err)
}

func readFile(tree Tree, i Intent) ([]byte, error) {
	text, err := tree.Read(i.File)
	return text, missing(i.File, err)
}

func (i Intent) inChart() bool { return i.Kind == Dependency || i.Kind == Removal }

func (i Intent) mayBeAbsent() bool { return i.Add || i.Kind == Removal }

func (i Intent) selector() edit.Selector {
	return edit.Selector{Name: i.Name, Alias: i.Alias, Repository: i.Repository}
}

func applyInFile(tree Tree, i Intent) (Applied, error) {
	text, err := readFile(tree, i)
	if err != nil {
		return Applied{}, err
	}
	set := edit.SetValue
	if i.Kind == Entry {
		set = edit.SetEntry
	}
	out, previous, err := set(text, i.Name, i.To)
	if err != nil {
		return Applied{}, at(i.File, err)
	}
	if outcome, err := decide(i, previous, ""); err != nil || outcome != Promoted {
		return Applied{Intent: i, Outcome: outcome}, err
	}
	i.From = previous
	return Applied{Intent: i, Outcome: Promoted, Files: map[string][]byte{i.File: out}}, nil
}

func applyDependency(ctx context.Context, tree Tree, i Intent) (Applied, error) {
	c, err := findChart(tree, path.Dir(i.File))
	if err != nil {
		return Applied{}, err
	}
	i.File = c.file
	out, previous, err := edit.SetDependency(c.text, i.selector(), i.To)
	if i.Add && errors.Is(err, edit.ErrNotFound) {
		return c.add(ctx, tree, i)
	}
	if err != nil {
		return Applied{}, at(c.file, err)
	}
	if outcome, err := c.decide(i, previous); err != nil || outcome != Promoted {
		return Applied{Intent: i, Outcome: outcome}, err
	}
	if err := c.checkVendored(tree, i); err != nil {
		return Applied{}, err
	}
	i.From = previous
	return c.changed(i, out)
}

// decide holds an intent against the dependency's version and the lock.
func (c chart) decide(i Intent, previous string) (Outcome, error) {
	_, locked, err := c.entry(i)
	if err != nil {
		return "", err
	}
	return decide(i, previous, locked)
}

// add gives the chart the dependency that it does not have.
func (c chart) add(ctx context.Context, tree Tree, i Intent) (Applied, error) {
	if err := c.checkNotVendoring(tree, i); err != nil {
		return Applied{}, err
	}
	if err := c.checkNotThere(i); err != nil {
		return Applied{}, err
	}
	out, err := edit.AddDependency(c.text, edit.Dependency{Name: i.Name, Alias: i.Alias, Version: i.To, Repository: i.Repository})
	if err != nil {
		return Applied{}, at(c.file, err)
	}
	return c.changed(i, out)
}

// applyRemoval takes a dependency out, in whatever version it is there.
func applyRemoval(ctx context.Context, tree Tree, i Intent) (Applied, error) {
	c, err := findChart(tree, path.Dir(i.File))
	if err != nil {
		return Applied{}, err
	}
	i.File = c.file
	out, removed, err := edit.RemoveDependency(c.text, i.selector())
	if errors.Is(err, edit.ErrNotFound) {
		return Applied{Intent: i, Outcome: Unchanged}, nil
	}
	if err != nil {
		return Applied{}, at(c.file, err)
	}
	if err := c.checkVendored(tree, i); err != nil {
		return Applied{}, err
	}
	i.From = removed.Version
	return c.changed(i, out)
}

// changed is the chart with its dependencies as they are in out, and its lock.
func (c chart) changed(i Intent, out []byte) (Applied, error) {
	a := Applied{Intent: i, Outcome: Promoted, Files: map[string][]byte{c.file: out}}
	var err error
	if c.lockText != nil {
		a.Files[c.lock], err = edit.Relock(c.lockText, c.text, out)
		if errors.Is(err, edit.ErrStaleLock) {
			a.Files[c.lock], a.StaleLock, err = c.lockText, c.lock, nil
		}
		err = at(c.lock, err)
	}
	return a, err
}

// at names the file in front of an error that starts with line and column.
func at(file string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s:%w", file, err)
}

// missing gives an absent file its meaning; other errors, and none, pass.
func missing(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Refused("FileNotFound", fmt.Errorf("%s is not in the repository: %w", file, fs.ErrNotExist),
			"Check the path; it counts from the repository's root.")
	}
	return err
}
