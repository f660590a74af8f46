package release

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"helm.sh/helm/v3/pkg/action"
	helm "helm.sh/helm/v3/pkg/release"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// HasTests reports whether the revision's chart brings Helm tests along.
func (v *Revision) HasTests() bool { return len(v.tests()) > 0 }

// Tested reports whether all Helm tests of this revision have run and passed,
// as the release itself remembers.
func (v *Revision) Tested() bool {
	return !slices.ContainsFunc(v.tests(), func(hook *helm.Hook) bool {
		return hook.LastRun.Phase != helm.HookPhaseSucceeded
	})
}

func (v *Revision) tests() []*helm.Hook {
	var tests []*helm.Hook
	for _, hook := range v.record.Hooks {
		if slices.Contains(hook.Events, helm.HookTest) {
			tests = append(tests, hook)
		}
	}
	return tests
}

// TestObjects are the objects of the revision's Helm tests.
func (r *Release) TestObjects(v *Revision) ([]cluster.Object, error) {
	var objects []cluster.Object
	for _, hook := range v.tests() {
		found, err := r.client.Objects(hook.Manifest)
		if err != nil {
			return nil, fmt.Errorf("read the Helm test %s of release %s: %w", hook.Name, r.name, err)
		}
		objects = append(objects, found...)
	}
	return objects, nil
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
