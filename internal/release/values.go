package release

import (
	"fmt"
	"os"

	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// ReadValues reads values files below dir; a later one wins. A path that leads
// out of dir, also through a symbolic link, is refused.
func ReadValues(dir string, files []string) (map[string]any, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Usage("ChartNotFound", fmt.Errorf("open the chart's folder: %w", err), "")
	}
	defer root.Close()
	values := map[string]any{}
	for _, file := range files {
		text, err := root.ReadFile(file)
		if err != nil {
			return nil, fault.Usage("ValuesNotFound", fmt.Errorf("read values file %s: %w", file, err), "values are paths relative to the chart's folder, one per line")
		}
		more, err := chartutil.ReadValues(text)
		if err != nil {
			return nil, fault.Usage("ValuesInvalid", fmt.Errorf("read values file %s: %w", file, err), "")
		}
		values = merge(values, more)
	}
	return values, nil
}

// merge lays over on top of base: maps are merged, everything else replaced.
func merge(base, over map[string]any) map[string]any {
	for key, value := range over {
		inner, isMap := value.(map[string]any)
		below, wasMap := base[key].(map[string]any)
		if isMap && wasMap {
			value = merge(below, inner)
		}
		base[key] = value
	}
	return base
}
