package promotion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/registry"
)

// Target is a branch that a promotion goes to, and where the versions stand
// there: in a chart's dependencies or, with File, in a file of another tool.
type Target struct {
	Environment string
	Remote      *git.Remote
	Branch      string // "": the remote's HEAD
	Path        string // folder of Chart.yaml, or that File counts from
	// File has the applications as its entries (edit.Entry), or one of them at
	// ValuePath. In both, {application} stands for the application's name.
	File, ValuePath string
}

// TargetOf is the branch that an environment is on.
func TargetOf(env environment.Environment, remote *git.Remote) Target {
	return Target{Environment: env.Name, Remote: remote, Branch: env.Branch, Path: env.Path, File: env.File, ValuePath: env.ValuePath}
}

// intent is the wish to have the promotion's version at the target. It is a
// Usage fault where the application's name leads to another place.
func (p Promotion) intent(t Target) (Intent, error) {
	i := Intent{To: p.Version, Exact: p.Exact, ByName: p.ByName, Mark: p.Mark, Hold: p.Hold}
	if t.File == "" {
		i.File, i.Kind, i.Add = path.Join(t.Path, chartFile), Dependency, p.Add
		i.Name, i.Alias, i.Repository = p.Chart.Name, p.Chart.Alias, p.Chart.Repository
		if p.Remove {
			i.Kind = Removal
		}
		return i, nil
	}
	name := p.there()
	if p.Mark != "" && name == "" && !t.fileEach() {
		i.File, i.Kind = path.Join(t.Path, t.File), Entry // beside it stands what holds for all
		return i, nil
	}
	if p.Remove {
		return i, fault.Refused("NotRemovable", fmt.Errorf("remove %s from %s: entries of %s are removed by hand", name, t.Environment, t.File), "Commit the change yourself.")
	}
	if t.fileEach() && !segment.MatchString(name) {
		return i, fault.Usage("InvalidApplication", fmt.Errorf("%.80q %w, as %s in %s asks for", name, errNoPart, environment.Placeholder, t.File), "")
	}
	i.File = path.Join(t.Path, strings.ReplaceAll(t.File, environment.Placeholder, name))
	if t.ValuePath == "" {
		i.Kind, i.Name = Entry, name
		return i, nil
	}
	key := name
	if !bareKey.MatchString(key) {
		key = strconv.Quote(key)
	}
	i.Kind, i.Name, i.Of = Value, strings.ReplaceAll(t.ValuePath, environment.Placeholder, key), name
	return i, nil
}

// fileEach reports whether each application has a file of its own.
func (t Target) fileEach() bool { return strings.Contains(t.File, environment.Placeholder) }

// errNoPart is about an application that has no place where each has its own file.
var errNoPart = errors.New("cannot be part of a file's name")

var (
	// segment is a name that is one part of a path, whatever stands around it.
	segment = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

// known is an application as a branch has it.
type known struct {
	name  string // in the environment and its records
	chart string // other name that people know it by
	// repository is where its chart is published; "" where the branch does not say.
	repository string
	// called and selector are how a promotion calls it, where they are looked for:
	// by its chart, as whoever promotes a version of it does, so that both wait at
	// one place, have one pull request and one history; by its name where the chart
	// is there twice.
	called   string
	selector edit.Selector
}

func (k known) goesBy(name string) bool { return name == k.name || name == k.chart }

// know finds the application of an intent. It is there, by its name, where no
// more is said of it than that.
func know(tree Tree, i Intent) (known, error) {
	switch i.Kind {
	case Dependency, Removal:
		c, err := findChart(tree, path.Dir(i.File))
		if err != nil {
			return known{}, err
		}
		entry, _, err := c.entry(i)
		if i.mayBeAbsent() && errors.Is(err, edit.ErrNotFound) {
			return known{name: cmp.Or(i.Alias, i.Name), chart: i.Name, repository: i.Repository}, nil
		}
		return known{name: entry.EffectiveName(), chart: entry.Name, repository: entry.Repository}, err
	case Entry:
		text, err := readFile(tree, i)
		if err != nil {
			return known{}, err
		}
		entry, err := edit.FindEntry(text, i.Name)
		if err == nil {
			err = entry.Check()
		}
		return known{name: i.Name, chart: entry.Chart, repository: entry.Repository}, at(i.File, err)
	}
	_, err := currentValue(tree, i)
	return known{name: i.Application()}, err
}

// checkPublished asks the repository that the environment names for the chart
// or, where it names none, the one that the promotion does. What is not a
// repository of charts, such as a folder beside, is nothing to ask.
func (p Promotion) checkPublished(ctx context.Context, tree Tree, i Intent) error {
	if p.Published == nil || p.Remove || p.Mark != "" {
		return nil
	}
	k, err := know(tree, i)
	if err != nil {
		return err
	}
	if k.repository == "" && !i.inChart() {
		k.repository, k.chart = p.Chart.Repository, p.there()
	}
	if !strings.HasPrefix(k.repository, "oci://") && !strings.HasPrefix(k.repository, "http://") && !strings.HasPrefix(k.repository, "https://") {
		return nil
	}
	return p.Published(ctx, registry.ChartRef{Repository: k.repository, Name: k.chart, Version: i.To})
}
