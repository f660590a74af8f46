package promotion

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/lockstep-cd/lockstep/internal/edit"
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
	if err != nil || p.Mark != "" {
		return i, err
	}
	i.From, err = currentValue(d.tree(), i)
	return i, err
}

// know finds the application of a promotion.
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
// chart, which may have a thousand, is read once. errAbsent: it is not there.
func (d draft) finder() (func(name string) (k known, version string, err error), error) {
	if d.target.File != "" {
		return d.findInFile, nil
	}
	dependencies, err := d.dependencies()
	times, named := map[string]int{}, map[string]edit.Dependency{}
	for _, dependency := range dependencies {
		times[dependency.Name]++
		named[dependency.EffectiveName()] = dependency
	}
	return func(name string) (known, string, error) {
		dependency, there := named[name]
		if !there {
			return known{}, "", errAbsent
		}
		k := known{name: name, chart: dependency.Name, repository: dependency.Repository, called: dependency.Name, selector: edit.Selector{Name: dependency.Name}}
		if times[dependency.Name] > 1 {
			k.called, k.selector = name, edit.Selector{Alias: name}
		}
		return k, dependency.Version, nil
	}, err
}

// named chooses the promotion's application by the name that the target has for
// it or, where there is none of that name, by that of its chart.
func (d draft) named(p Promotion) Promotion {
	find, err := d.finder()
	if err != nil || p.Application == "" {
		return p
	}
	if k, _, err := find(p.Application); err == nil {
		p.Application, p.Chart = k.called, k.selector
	}
	return p
}

// errUnlisted is about a target whose applications each have a place of their own.
var errUnlisted = errors.New("nothing lists the applications")

// errAbsent says that a target does not have an application.
var errAbsent = errors.New("there is no such application")

func (d draft) findInFile(name string) (known, string, error) {
	p := Promotion{Chart: edit.Selector{Alias: name}}
	i, err := d.begin(p)
	switch {
	case errors.Is(err, edit.ErrNotFound), errors.Is(err, errNoPart), errors.Is(err, fs.ErrNotExist) && d.target.fileEach():
		return known{}, "", errAbsent
	case err != nil:
		return known{}, "", err
	}
	k, err := d.know(p)
	k.called, k.selector = name, edit.Selector{Name: name}
	return k, i.From, err
}

// versions are those of the named applications or, without any, of all. Where
// each has a file or a path of its own, nothing lists them. What has no version,
// but a range or a word such as latest, is left out of a list.
func (d draft) versions(named []string) (map[string]string, error) {
	find, err := d.finder()
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, name := range named {
		_, version, err := find(name)
		if err != nil && !errors.Is(err, errAbsent) {
			return nil, err
		}
		found[name] = version
	}
	if len(named) > 0 {
		return found, nil
	}
	list, err := d.applications()
	for _, a := range list {
		if edit.CheckVersion(a.Version) == nil {
			found[a.Name] = a.Version
		}
	}
	return found, err
}

// applications are all that the target lists; errUnlisted: nothing lists them. What
// cannot be promoted, such as an entry without a version, is left out.
func (d draft) applications() (list []Application, err error) {
	find, err := d.finder()
	if err != nil {
		return nil, err
	}
	names, err := d.names()
	for _, name := range names {
		k, version, err := find(name)
		if err != nil {
			continue
		}
		a := Application{Name: name, Version: version}
		if k.chart != name {
			a.Chart = k.chart
		}
		list = append(list, a)
	}
	return list, err
}

// names are those of all applications.
func (d draft) names() (names []string, err error) {
	switch {
	case d.target.File == "":
		dependencies, err := d.dependencies()
		for _, dependency := range dependencies {
			names = append(names, dependency.EffectiveName())
		}
		return names, err
	case d.target.ValuePath != "" || d.target.fileEach():
		return nil, fault.Usage("ApplicationsUnknown", fmt.Errorf("%w of %s: each has a place of its own in %s", errUnlisted, d.target.Environment, d.target.File),
			"Name the applications.")
	}
	file := path.Join(d.target.Path, d.target.File)
	text, err := readFile(d.tree(), Intent{File: file})
	if err != nil {
		return nil, err
	}
	entries, err := edit.Entries(text)
	for _, entry := range entries {
		names = append(names, entry.Name)
	}
	return names, at(file, err)
}

// drafted is Landed with, of a dry run, the difference that it would bring.
type drafted struct {
	Landed
	diff string
}

// change is the work of carrying out intents.
func (d draft) change(intents ...Intent) Change {
	return Change{Base: d.tip.Hash, Intents: intents}
}

// land commits the work at once and pushes that, unless it is a dry run.
func (d draft) land(ctx context.Context, e *Everywhere, m Message, work Work) (drafted, error) {
	l := Landing{
		Remote: d.target.Remote, Repository: d.repository, Branch: d.tip.Name,
		Work: work, Message: m,
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
