package chart

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// The files that can define dependencies and their locks.
const (
	chartFile        = "Chart.yaml"
	requirementsFile = "requirements.yaml"
	chartLock        = "Chart.lock"
	requirementsLock = "requirements.lock"
)

// dependency is one entry with the version that is to be used.
type dependency struct {
	*helmchart.Dependency
	version string // exact: from the lock, or the entry's own
}

// called is the name under which the umbrella's values reach the sub-chart.
func (d dependency) called() string {
	if d.Alias != "" {
		return d.Alias
	}
	return d.Name
}

func (d dependency) String() string {
	if d.Alias != "" {
		return fmt.Sprintf("%s %s (alias %s)", d.Name, d.version, d.Alias)
	}
	return d.Name + " " + d.version
}

type dependencies struct {
	list []dependency
	file string // that defines them
}

// readDependencies reads what the chart depends on and resolves the versions
// with its lock.
func readDependencies(files []*loader.BufferedFile) (dependencies, error) {
	own, err := metadataOf(files, chartFile)
	if err != nil {
		return dependencies{}, err
	}
	all, err := metadataOf(files, chartFile, requirementsFile)
	if err != nil {
		return dependencies{}, err
	}
	file, lockFile := chartFile, chartLock
	if find(files, requirementsFile) != nil {
		file, lockFile = requirementsFile, requirementsLock
		if len(own.Metadata.Dependencies) > 0 {
			return dependencies{}, bothDefine()
		}
	}
	entries := all.Metadata.Dependencies
	if err := checkNames(entries, file); err != nil {
		return dependencies{}, err
	}
	lock, err := readLock(files, lockFile)
	if err != nil {
		return dependencies{}, err
	}
	if lock != nil {
		err = checkLock(lock, lockFile, entries, all.Metadata.APIVersion, file)
	}
	if err != nil {
		return dependencies{}, err
	}
	list, err := resolve(entries, lock, file)
	return dependencies{list: list, file: file}, err
}

func bothDefine() error {
	return fault.Refused("DependenciesTwice",
		fmt.Errorf("%s and %s both define dependencies, and Helm would use only those of %s: %w", chartFile, requirementsFile, requirementsFile, ErrStale),
		fmt.Sprintf("Keep one: move the entries into %s and remove %s.", chartFile, requirementsFile))
}

// metadataOf lets Helm read only the named files.
func metadataOf(files []*loader.BufferedFile, names ...string) (*Chart, error) {
	var chosen []*loader.BufferedFile
	for _, name := range names {
		if f := find(files, name); f != nil {
			chosen = append(chosen, f)
		}
	}
	if find(files, chartFile) == nil {
		return nil, fault.Usage("NotAChart", fmt.Errorf("there is no %s", chartFile), "Name the folder that holds the chart's Chart.yaml.")
	}
	c, err := loader.LoadFiles(chosen)
	if err == nil {
		return c, nil
	}
	if c.Metadata != nil {
		// Helm refuses names that are taken twice as well, but does not say where.
		if twice := checkNames(c.Metadata.Dependencies, names[len(names)-1]); twice != nil {
			return nil, twice
		}
	}
	return nil, fault.Refused("ChartInvalid", err, "`helm lint` shows the same on a laptop.")
}

func find(files []*loader.BufferedFile, name string) *loader.BufferedFile {
	for _, f := range files {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// checkNames refuses two entries that values could not tell apart; Helm would
// render one of them and drop the other.
func checkNames(entries []*helmchart.Dependency, file string) error {
	first := map[string]int{}
	for i, entry := range entries {
		if entry == nil {
			return fault.Refused("ChartInvalid", fmt.Errorf("%s: dependencies[%d] is empty", file, i), "")
		}
		called := dependency{Dependency: entry}.called()
		if j, taken := first[called]; taken {
			return fault.Refused("DependencyDuplicate",
				fmt.Errorf("%s: dependencies[%d] (%s) and dependencies[%d] (%s) are both called %s: %w",
					file, j, entries[j].Name, i, entry.Name, called, ErrDuplicate),
				"Give one of them another alias.")
		}
		first[called] = i
	}
	return nil
}

// resolve gives each entry its exact version.
func resolve(entries []*helmchart.Dependency, lock *helmchart.Lock, file string) ([]dependency, error) {
	var list []dependency
	for i, entry := range entries {
		version := entry.Version
		if lock != nil {
			version = lock.Dependencies[i].Version
		}
		if _, err := semver.NewVersion(version); err != nil && entry.Repository != "" {
			return nil, fault.Refused("LockMissing",
				fmt.Errorf("%s: %s has the version %q, which is no exact version, and there is no lock", file, entry.Name, version),
				"Write the exact version, or run `helm dependency update` and commit the lock: one commit must always mean one deployment.")
		}
		list = append(list, dependency{Dependency: entry, version: version})
	}
	return list, nil
}

// compare checks the charts that lie in charts/ against what is wanted and
// returns the dependencies that are not there. A vendored chart that is no
// dependency stays: Helm loads it, and people keep charts there by hand.
func (d dependencies) compare(vendored []*Chart) ([]dependency, error) {
	var absent []dependency
	for _, dep := range d.list {
		versions, present := versionsOf(vendored, dep)
		switch {
		case present:
		case len(versions) > 0 && !d.anotherVersion(dep, versions):
			return nil, fault.Refused("VendoredChartStale",
				fmt.Errorf("%s wants %s, but charts/ holds %s %s: %w", d.file, dep, dep.Name, strings.Join(versions, ", "), ErrStale),
				"Refresh it with `helm dependency build` and commit charts/, or remove the archive: it is then fetched.")
		case dep.Repository == "":
			return nil, fault.Refused("DependencyMissing",
				fmt.Errorf("%s wants %s, which names no repository, and charts/%s is not there: %w", d.file, dep, dep.Name, ErrMissing),
				"Commit the chart under charts/, or give the dependency a repository.")
		default:
			absent = append(absent, dep)
		}
	}
	return absent, nil
}

func versionsOf(vendored []*Chart, dep dependency) (versions []string, present bool) {
	for _, c := range vendored {
		if c.Name() != dep.Name {
			continue
		}
		versions = append(versions, c.Metadata.Version)
		present = present || sameVersion(c.Metadata.Version, dep)
	}
	return versions, present
}

// anotherVersion reports whether every vendored version belongs to another
// entry of the same chart, so that none of them is stale.
func (d dependencies) anotherVersion(dep dependency, versions []string) bool {
	for _, version := range versions {
		used := false
		for _, other := range d.list {
			used = used || other.Name == dep.Name && sameVersion(version, other)
		}
		if !used {
			return false
		}
	}
	return true
}

// sameVersion compares as versions, so that v1.2.3 is 1.2.3. An entry without
// repository may name a range, which the vendored chart has to satisfy.
func sameVersion(version string, dep dependency) bool {
	if version == dep.version {
		return true
	}
	have, err := semver.NewVersion(version)
	if err != nil {
		return false
	}
	if want, err := semver.NewVersion(dep.version); err == nil {
		return have.Equal(want) && have.Metadata() == want.Metadata()
	}
	want, err := semver.NewConstraint(dep.version)
	return dep.version == "" || err == nil && want.Check(have)
}
