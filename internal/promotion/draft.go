package promotion

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// draft is a target's tip in memory.
type draft struct {
	target     Target
	repository *git.Repository
	tip        git.Ref
}

// fetch brings the branch's tip, without its history.
func (t Target) fetch(ctx context.Context) (draft, error) {
	d := draft{target: t, repository: git.NewMemory()}
	var err error
	if d.tip, err = t.Remote.Tip(ctx, t.Branch); err != nil {
		return d, err
	}
	return d, t.Remote.FetchTips(ctx, d.repository, d.tip.Hash)
}

func (d draft) tree() Tree { return CommitTree(d.repository, d.tip.Hash) }

// begin is the intent of a promotion, with what stands there now.
func (d draft) begin(p Promotion) (Intent, error) {
	i, err := p.intent(d.target)
	if err != nil {
		return i, err
	}
	i.From, err = currentValue(d.tree(), i)
	return i, err
}

// know finds the application of a promotion; absent tells that it is not there.
func (d draft) know(p Promotion) (known, error) {
	i, err := p.intent(d.target)
	if err != nil {
		return known{}, err
	}
	return know(d.tree(), i)
}

// dependencies are those of the target's chart.
func (d draft) dependencies() ([]edit.Dependency, error) {
	c, err := findChart(d.tree(), d.target.Path)
	if err != nil {
		return nil, err
	}
	dependencies, err := edit.Dependencies(c.text)
	return dependencies, at(c.file, err)
}

// finder looks applications up by the name that the target has for them. A
// chart, which may have a thousand, is read once.
func (d draft) finder() (func(name string) (k known, version string, err error), error) {
	if d.target.File != "" {
		return func(name string) (known, string, error) {
			p := Promotion{Chart: edit.Selector{Alias: name}}
			i, err := d.begin(p)
			if err != nil && absent(i, err) {
				return known{}, "", errAbsent
			}
			if err != nil {
				return known{}, "", err
			}
			k, err := d.know(p)
			return k, i.From, err
		}, nil
	}
	dependencies, err := d.dependencies()
	return func(name string) (known, string, error) {
		for _, dependency := range dependencies {
			if dependency.EffectiveName() == name {
				return known{name: name, chart: dependency.Name, repository: dependency.Repository}, dependency.Version, nil
			}
		}
		return known{}, "", errAbsent
	}, err
}

// errAbsent says that a target does not have an application.
var errAbsent = errors.New("there is no such application")

// versions are those of all applications, by their names. Where each has a file
// or a path of its own, nothing lists them, and only those that are named are
// looked for.
func (d draft) versions(named []string) (map[string]string, error) {
	found := map[string]string{}
	switch {
	case d.target.File == "":
		dependencies, err := d.dependencies()
		for _, dependency := range dependencies {
			found[dependency.EffectiveName()] = dependency.Version
		}
		return found, err
	case d.target.ValuePath == "" && !strings.Contains(d.target.File, environment.Placeholder):
		file := path.Join(d.target.Path, d.target.File)
		text, err := readFile(d.tree(), Intent{File: file})
		if err != nil {
			return nil, err
		}
		entries, err := edit.Entries(text)
		for _, entry := range entries {
			found[entry.Name] = entry.Version
		}
		return found, at(file, err)
	case len(named) == 0:
		return nil, fault.Usage("ApplicationsUnknown", fmt.Errorf("nothing lists the applications of %s: each has a place of its own in %s", d.target.Environment, d.target.File),
			"Name the applications.")
	}
	find, err := d.finder()
	if err != nil {
		return nil, err
	}
	for _, name := range named {
		_, version, err := find(name)
		if err != nil && !errors.Is(err, errAbsent) {
			return nil, err
		}
		found[name] = version
	}
	return found, nil
}

// drafted is Landed with, of a dry run, the difference that it would bring.
type drafted struct {
	Landed
	diff string
}

// land commits all intents at once and pushes that, unless it is a dry run.
func (d draft) land(ctx context.Context, e *Everywhere, m Message, intents ...Intent) (drafted, error) {
	l := Landing{
		Remote: d.target.Remote, Repository: d.repository, Branch: d.tip.Name,
		Change: Change{Base: d.tip.Hash, Intents: intents}, Message: m,
		Author: e.Author, Committer: e.Committer, Key: e.Key, Patience: e.Patience,
	}
	if !e.DryRun {
		landed, err := Land(ctx, l)
		return drafted{Landed: landed}, err
	}
	landed, err := l.draft(ctx, d.tip.Hash)
	if err != nil || landed.Commit == d.tip.Hash {
		return drafted{Landed: landed}, err
	}
	diff, err := d.repository.Diff(d.tip.Hash, landed.Commit)
	landed.Commit = d.tip.Hash // ours exists in memory only
	return drafted{landed, diff}, err
}
