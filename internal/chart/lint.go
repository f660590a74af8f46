package chart

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// lintChart runs Helm's linter over the chart as it will be published: with the
// new version, the edited values and all dependencies in place.
func lintChart(c *Chart) (warnings []string, err error) {
	folder, err := os.MkdirTemp("", "lockstep-lint-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	if err := chartutil.SaveDir(c, folder); err != nil {
		return nil, fmt.Errorf("write the chart for the linter: %w", err)
	}
	var faults []error
	for _, message := range lint.All(filepath.Join(folder, c.Name()), nil, "default", true).Messages {
		switch {
		case message.Severity >= support.ErrorSev:
			faults = append(faults, fmt.Errorf("%s: %w", message.Path, message.Err))
		case message.Severity == support.WarningSev:
			warnings = append(warnings, fmt.Sprintf("%s: %v", message.Path, message.Err))
		}
	}
	if len(faults) > 0 {
		return warnings, fault.Refused("LintFailed", fmt.Errorf("lint the chart %s: %w", c.Name(), errors.Join(faults...)),
			"`helm lint` shows the same on a laptop; charts that differ on purpose can be packaged with skip-lint.")
	}
	return warnings, nil
}
