package release

import (
	"errors"
	"fmt"
	"io"
	"time"

	"helm.sh/helm/v3/pkg/action"
	helm "helm.sh/helm/v3/pkg/release"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// HasTests reports whether the revision's chart brings Helm tests along.
func (v *Revision) HasTests() bool {
	for _, hook := range v.record.Hooks {
		for _, event := range hook.Events {
			if event == helm.HookTest {
				return true
			}
		}
	}
	return false
}

// Test runs the Helm tests of the newest revision, as `helm test` does, and
// copies what they wrote to out, also when one fails.
func (r *Release) Test(timeout time.Duration, out io.Writer) error {
	test := action.NewReleaseTesting(r.config)
	test.Namespace, test.Timeout = r.client.Namespace(), timeout
	record, err := test.Run(r.name)
	if record == nil {
		return fmt.Errorf("run the Helm tests of release %s: %w", r.name, err)
	}
	// A test pod that its chart deletes at once leaves no log; that is the chart's choice.
	logs := test.GetPodLogs(out, record)
	if err == nil {
		return nil
	}
	return fault.Unverified("TestFailed", errors.Join(fmt.Errorf("run the Helm tests of release %s: %w", r.name, err), logs),
		fmt.Sprintf("`helm test %s --namespace %s --logs` runs them again", r.name, r.client.Namespace()))
}
