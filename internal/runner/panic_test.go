package runner_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/runner"
)

const oneStep = `apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: r}
spec:
  pipelineSpec:
    tasks: [{name: t, taskSpec: {steps: [{name: s, image: example.com/tools, script: "true"}]}}]
`

// TestAPanicIsAnErrorOfTheRun makes each part of a run panic.
func TestAPanicIsAnErrorOfTheRun(t *testing.T) {
	for _, kind := range []runner.EventKind{runner.RunStarted, runner.TaskStarted, runner.StepStarted, runner.TaskSkipped} {
		t.Run(string(kind), func(t *testing.T) {
			text := oneStep
			if kind == runner.TaskSkipped {
				text = strings.Replace(text, "name: t,", "name: t, when: [{input: a, operator: in, values: [b]}],", 1)
			}
			outcome, err := runOne(t, text, func(e runner.Event) {
				if e.Kind == kind {
					panic("no such thing")
				}
			})
			if err != nil {
				if !strings.Contains(err.Error(), "no such thing") {
					t.Error(err)
				}
				return
			}
			if outcome.Well() {
				t.Error("the run succeeded")
			}
		})
	}
}

func runOne(t *testing.T, text string, watch func(runner.Event)) (*runner.Outcome, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	catalog := runner.NewCatalog()
	o, err := catalog.Find(file, "")
	if err != nil {
		t.Fatal(err)
	}
	return (&runner.Runner{Catalog: catalog, Dir: t.TempDir(), AllowHost: true, Watch: watch}).Run(t.Context(), o)
}
