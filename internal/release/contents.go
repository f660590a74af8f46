package release

import (
	"fmt"
	"sort"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/lockstep-cd/lockstep/internal/chart"
)

// Application is one dependency of the environment's chart: a service and its
// version. Name is the alias where there is one.
type Application struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Applications are what the revision runs, sorted by name.
func (v *Revision) Applications() []Application { return applications(v.record.Chart) }

// Applications are what the chart would run with these values: dependencies
// that a condition or a tag switches off do not count.
func Applications(c *chart.Chart, values map[string]any) ([]Application, error) {
	if err := chartutil.ProcessDependenciesWithMerge(c, values); err != nil {
		return nil, fmt.Errorf("read the dependencies of chart %s: %w", c.Name(), err)
	}
	return applications(c), nil
}

// Values are the values that the revision was deployed with, beside the chart's own.
func (v *Revision) Values() map[string]any { return v.record.Config }

// applications reads a chart whose dependencies Helm has processed: their
// names are the aliases then. A range of versions is made exact by the lock.
func applications(c *helmchart.Chart) []Application {
	var found []Application
	if c == nil || c.Metadata == nil {
		return nil
	}
	for _, dep := range c.Metadata.Dependencies {
		name := dep.Name
		if dep.Alias != "" {
			name = dep.Alias
		}
		found = append(found, Application{Name: name, Version: exact(c, dep)})
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Name < found[j].Name })
	return found
}

// exact is the locked version of a dependency where the lock has exactly one
// that fits; the lock knows no aliases.
func exact(c *helmchart.Chart, dep *helmchart.Dependency) string {
	if c.Lock == nil {
		return dep.Version
	}
	version := ""
	for _, locked := range c.Lock.Dependencies {
		if locked.Repository != dep.Repository || !chartutil.IsCompatibleRange(dep.Version, locked.Version) {
			continue
		}
		if locked.Name != dep.Name && dep.Alias == "" {
			continue
		}
		if version != "" && version != locked.Version {
			return dep.Version
		}
		version = locked.Version
	}
	if version == "" {
		return dep.Version
	}
	return version
}
