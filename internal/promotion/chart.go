package promotion

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// chart is where the dependencies of one chart are written.
type chart struct {
	folder   string // of Chart.yaml, "." for the root
	file     string // with the dependencies
	text     []byte
	lock     string // beside it
	lockText []byte // nil without a lock
}

const (
	chartFile        = "Chart.yaml"
	requirementsFile = "requirements.yaml"
)

// findChart finds the file whose dependencies Helm reads: requirements.yaml
// wherever it stands, whatever Chart.yaml says. Where both define some, Helm
// silently takes the one that the other's author does not expect, so that is
// refused.
func findChart(tree Tree, folder string) (chart, error) {
	c := chart{folder: folder, file: path.Join(folder, chartFile), lock: path.Join(folder, "Chart.lock")}
	var err error
	if c.text, err = tree.Read(c.file); err != nil {
		return chart{}, missing(c.file, err)
	}
	requirements, err := readIfPresent(tree, path.Join(folder, requirementsFile))
	if err != nil {
		return chart{}, err
	}
	if requirements != nil {
		if err := c.checkOnlyRequirements(); err != nil {
			return chart{}, err
		}
		c.file, c.text = path.Join(folder, requirementsFile), requirements
		c.lock = path.Join(folder, "requirements.lock")
	}
	c.lockText, err = readIfPresent(tree, c.lock)
	return c, err
}

func (c chart) checkOnlyRequirements() error {
	dependencies, err := edit.Dependencies(c.text)
	if err != nil {
		return at(c.file, err)
	}
	if len(dependencies) == 0 {
		return nil
	}
	return fault.Refused("TwoDependencyLists",
		fmt.Errorf("%s and %s both define dependencies", c.file, path.Join(c.folder, requirementsFile)),
		"Helm reads requirements.yaml and ignores the other. Keep one of the two lists.")
}

func readIfPresent(tree Tree, file string) ([]byte, error) {
	content, err := tree.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// checkVendored refuses an edit that would leave an archive or folder of the
// old version in charts/: Helm deploys what lies there, not what the list says.
func (c chart) checkVendored(tree Tree, i Intent) error {
	entry, locked, err := c.entry(i)
	if err != nil {
		return err
	}
	vendored, version, err := c.vendored(tree, entry, locked)
	if err != nil || vendored == "" || version == i.To {
		return err
	}
	return c.stale(vendored, i)
}

// checkNotVendoring refuses a further entry where others are in charts/: Helm
// would miss its own.
func (c chart) checkNotVendoring(tree Tree, i Intent) error {
	dependencies, err := edit.Dependencies(c.text)
	if err != nil {
		return at(c.file, err)
	}
	for index, d := range dependencies {
		locked, err := c.locked(index)
		if err != nil {
			return err
		}
		if vendored, _, err := c.vendored(tree, d, locked); err != nil || vendored != "" {
			return errors.Join(err, c.stale(path.Join(c.folder, "charts"), i))
		}
	}
	return nil
}

// checkNotThere refuses to add a chart that is there by another name or from
// another repository: it would be deployed twice.
func (c chart) checkNotThere(i Intent) error {
	dependencies, err := edit.Dependencies(c.text)
	if err != nil {
		return at(c.file, err)
	}
	for _, d := range dependencies {
		if d.Name == i.Name && (d.Alias == "" || i.Alias == "") {
			return fault.Refused("ChartAlreadyThere", fmt.Errorf("%s has the chart %s already, as %s from %s", c.file, d.Name, d.EffectiveName(), d.Repository),
				"Name it by alias and repository as they stand there; or give both an alias of their own.")
		}
	}
	return nil
}

// vendored finds what of an entry is in charts/, and its version; "" for nothing.
func (c chart) vendored(tree Tree, entry edit.Dependency, locked string) (place, version string, err error) {
	for _, version := range []string{entry.Version, locked} {
		archive := path.Join(c.folder, "charts", entry.Name+"-"+version+".tgz")
		if there, err := tree.Exists(archive); err != nil || there {
			return archive, version, err
		}
	}
	file := path.Join(c.folder, "charts", entry.Name, chartFile)
	text, err := readIfPresent(tree, file)
	if err != nil || text == nil {
		return "", "", err
	}
	version, err = edit.Value(text, ".version")
	return path.Dir(file), version, at(file, err)
}

func (c chart) stale(vendored string, i Intent) error {
	wanted, do := fmt.Sprintf("version %s of %s is asked for", i.To, i.Application()), "Set the version"
	if i.Kind == Removal {
		wanted, do = i.Application()+" is asked to be removed", "Remove the entry"
	}
	return fault.Refused("VendoredChartStale",
		fmt.Errorf("%s would be stale: %s in %s", vendored, wanted, c.file),
		fmt.Sprintf("%s by hand, run `helm dependency update %s` and commit both; or stop vendoring: remove %s/charts from the repository.",
			do, c.folder, c.folder))
}

// entry is the chosen dependency before the edit, and the version the lock has
// for it, "" without one.
func (c chart) entry(i Intent) (entry edit.Dependency, locked string, err error) {
	dependencies, err := edit.Dependencies(c.text)
	if err != nil {
		return entry, "", at(c.file, err)
	}
	entry, index, err := edit.Choose(dependencies, i.selector())
	if err != nil {
		return entry, "", at(c.file, err)
	}
	locked, err = c.locked(index)
	return entry, locked, err
}

// locked is the version that the lock has for an entry, "" without one.
func (c chart) locked(index int) (string, error) {
	if c.lockText == nil {
		return "", nil
	}
	version, err := edit.Value(c.lockText, fmt.Sprintf(".dependencies[%d].version", index))
	if errors.Is(err, edit.ErrNotFound) {
		return "", nil
	}
	return version, at(c.lock, err)
}
