//go:build e2e

package conformance

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/lockstep-cd/lockstep/internal/runner"
)

// manySteps are the steps of the longer of the two Tasks that are measured: the
// difference to a Task of one step is what a further step costs.
const manySteps = 11

// BenchmarkStep measures steps that do nothing, in the runner and on the
// cluster. Starting sh is their own work, which both have; it is shown by itself.
func BenchmarkStep(b *testing.B) {
	b.Run("sh", func(b *testing.B) {
		var all []time.Duration
		for b.Loop() {
			begin := time.Now()
			if err := exec.Command("sh", "-c", "exit 0").Run(); err != nil {
				b.Fatal(err)
			}
			all = append(all, time.Since(begin))
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(milliseconds(median(all)), "ms/own-work")
	})
	b.Run("runner", func(b *testing.B) {
		measure(b, "any", func(tr *pipelinev1.TaskRun) time.Duration {
			begin := time.Now()
			r := &runner.Runner{Catalog: runner.NewCatalog(), Dir: b.TempDir(), AllowHost: true}
			if _, err := r.Run(b.Context(), tr); err != nil {
				b.Fatal(err)
			}
			return time.Since(begin)
		})
	})
	b.Run("cluster", func(b *testing.B) {
		c := newCluster(b, nil)
		namespace := "conformance-overhead"
		if err := c.makeNamespace(b.Context(), namespace); err != nil {
			b.Fatal(err)
		}
		measure(b, c.image, func(tr *pipelinev1.TaskRun) time.Duration { return c.timed(b, namespace, tr) })
	})
}

// measure reports the medians of a Task of one step and of each further step.
func measure(b *testing.B, image string, run func(*pipelinev1.TaskRun) time.Duration) {
	var one, many []time.Duration
	for b.Loop() {
		one = append(one, run(idle(fmt.Sprintf("one-%d", len(one)), 1, image)))
		many = append(many, run(idle(fmt.Sprintf("many-%d", len(many)), manySteps, image)))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(median(one)), "ms/task-of-one-step")
	b.ReportMetric(milliseconds(median(many)-median(one))/(manySteps-1), "ms/further-step")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

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
func (c *cluster) timed(t testing.TB, namespace string, tr *pipelinev1.TaskRun) time.Duration {
	t.Helper()
	ctx := t.Context()
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
