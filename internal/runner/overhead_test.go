package runner_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lockstep-cd/lockstep/internal/runner"
)

// BenchmarkStep measures what a step costs besides its own work: the time of a
// run, divided by its steps, less what starting their program by hand takes. A
// run's own cost is part of it; with more steps it weighs less.
func BenchmarkStep(b *testing.B) {
	for _, steps := range []int{1, 10} {
		b.Run(fmt.Sprintf("of-%d", steps), func(b *testing.B) {
			var all []time.Duration
			for b.Loop() {
				all = append(all, timed(b, func() { runSteps(b, steps) })/time.Duration(steps))
			}
			var bare []time.Duration
			for range 50 {
				bare = append(bare, timed(b, func() {
					if err := exec.Command("/bin/sh", "-c", "exit 0").Run(); err != nil {
						b.Fatal(err)
					}
				}))
			}
			b.ReportMetric(milliseconds(median(all)-median(bare)), "ms-overhead/step")
			b.ReportMetric(milliseconds(median(bare)), "ms-own-work/step")
			b.ReportMetric(0, "ns/op") // the mean says less than the medians
		})
	}
}

func runSteps(b *testing.B, steps int) {
	tr := &pipelinev1.TaskRun{ObjectMeta: metav1.ObjectMeta{Name: "steps"}}
	tr.Spec.TaskSpec = &pipelinev1.TaskSpec{}
	for range steps {
		tr.Spec.TaskSpec.Steps = append(tr.Spec.TaskSpec.Steps, pipelinev1.Step{Image: "any", Script: "exit 0"})
	}
	r := &runner.Runner{Catalog: runner.NewCatalog(), Dir: b.TempDir(), AllowHost: true}
	outcome, err := r.Run(b.Context(), tr)
	if err != nil {
		b.Fatal(err)
	}
	if c := succeeded(outcome); !c.IsTrue() {
		b.Fatal(strings.TrimSpace(c.Reason + ": " + c.Message))
	}
}

func timed(b *testing.B, do func()) time.Duration {
	b.Helper()
	begin := time.Now()
	do()
	return time.Since(begin)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
