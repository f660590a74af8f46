//go:build e2e

package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/lockstep-cd/lockstep/internal/runner"
)

// overheadLimit is what a step of the runner may cost besides its own work.
const overheadLimit = 20 * time.Millisecond

// manySteps are the steps of the longer of the two Tasks that are measured: the
// difference to a Task of one step is what a further step costs.
const manySteps = 11

// repeats of each measurement; the table shows medians.
const repeats = 5

// TestOverheadOfAStep measures steps that do nothing, here and on the cluster.
func TestOverheadOfAStep(t *testing.T) {
	c := newCluster(t, nil)
	ctx := t.Context()
	namespace := "conformance-overhead"
	if err := c.makeNamespace(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	measure := func(run func(*pipelinev1.TaskRun) time.Duration) (task, step time.Duration) {
		var one, many []time.Duration
		for i := range repeats {
			one = append(one, run(idle(fmt.Sprintf("one-%d", i), 1, c.image)))
			many = append(many, run(idle(fmt.Sprintf("many-%d", i), manySteps, c.image)))
		}
		return median(one), (median(many) - median(one)) / (manySteps - 1)
	}
	hereTask, hereStep := measure(func(tr *pipelinev1.TaskRun) time.Duration {
		begin := time.Now()
		r := &runner.Runner{Catalog: runner.NewCatalog(), Dir: t.TempDir(), AllowHost: true}
		if _, err := r.Run(ctx, tr); err != nil {
			t.Fatal(err)
		}
		return time.Since(begin)
	})
	thereTask, thereStep := measure(func(tr *pipelinev1.TaskRun) time.Duration { return c.timed(t, ctx, namespace, tr) })
	t.Logf("medians of %d, with what starting sh takes:\n"+
		"                      runner here  pod on the cluster\n"+
		"a Task of one step    %11s  %18s\n"+
		"each further step     %11s  %18s", repeats,
		hereTask.Round(100*time.Microsecond), thereTask.Round(10*time.Millisecond),
		hereStep.Round(100*time.Microsecond), thereStep.Round(10*time.Millisecond))
	if hereStep > overheadLimit {
		t.Errorf("a step takes %s in the runner, more than %s", hereStep, overheadLimit)
	}
}

// idle is a TaskRun of steps that do nothing.
func idle(name string, steps int, image string) *pipelinev1.TaskRun {
	tr := &pipelinev1.TaskRun{
		TypeMeta:   metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "TaskRun"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       pipelinev1.TaskRunSpec{TaskSpec: &pipelinev1.TaskSpec{}},
	}
	for range steps {
		tr.Spec.TaskSpec.Steps = append(tr.Spec.TaskSpec.Steps, pipelinev1.Step{Image: image, Command: []string{"sh"}, Args: []string{"-c", "exit 0"}})
	}
	return tr
}

// timed runs a TaskRun on the cluster and returns the time from its creation to
// its end. Kubernetes keeps times in seconds, so it is watched.
func (c *cluster) timed(t *testing.T, ctx context.Context, namespace string, tr *pipelinev1.TaskRun) time.Duration {
	t.Helper()
	manifest, err := json.Marshal(tr)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := c.tekton.TektonV1().TaskRuns(namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + tr.Name})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if _, err := kubectl(ctx, string(manifest), "create", "-n", namespace, "-f", "-"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for event := range watch.ResultChan() {
		now, ok := event.Object.(*pipelinev1.TaskRun)
		if !ok {
			t.Fatalf("watch %s: %v", tr.Name, event.Object)
		}
		if condition := now.Status.GetCondition(apis.ConditionSucceeded); ended(condition) {
			if !condition.IsTrue() {
				t.Fatal(strings.TrimSpace(condition.Reason + ": " + condition.Message))
			}
			return time.Since(begin)
		}
	}
	t.Fatalf("the watch of %s ended early", tr.Name)
	return 0
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
