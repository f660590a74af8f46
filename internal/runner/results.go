package runner

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// validateResults takes results of another type than the declared one out of a
// TaskRun and reports them, and objects whose keys are missing. The rules are
// those of Tekton's validateTaskRunResults, which it does not export.
func validateResults(tr *pipelinev1.TaskRun, ts *pipelinev1.TaskSpec) error {
	declared := map[string]pipelinev1.TaskResult{}
	for _, r := range ts.Results {
		declared[r.Name] = r
	}
	var mismatched []string
	tr.Status.Results = slices.DeleteFunc(tr.Status.Results, func(r pipelinev1.TaskRunResult) bool {
		d, ok := declared[r.Name]
		if !ok || d.Type == r.Type {
			return false
		}
		mismatched = append(mismatched, fmt.Sprintf(" %q: task result is expected to be %q type but was initialized to a different type %q", r.Name, d.Type, r.Type))
		return true
	})
	if len(mismatched) > 0 {
		sort.Strings(mismatched)
		return fmt.Errorf("Provided results don't match declared results; may be invalid JSON or missing result declaration: %s", strings.Join(mismatched, ",")) //nolint:staticcheck // Tekton's words
	}
	for _, r := range tr.Status.Results {
		for key := range declared[r.Name].Properties {
			if _, ok := r.Value.ObjectVal[key]; !ok && r.Type == pipelinev1.ResultsTypeObject {
				return fmt.Errorf("missing keys for these results which are required in TaskResult's properties map[%s:[%s]]", r.Name, key)
			}
		}
	}
	return nil
}
