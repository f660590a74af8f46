// Package pipelines reads the runs of pipelines that a cluster has, and what their
// steps have printed. Nothing here changes anything.
package pipelines

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

var (
	kindRun     = cluster.Kind{APIVersion: "tekton.dev/v1", Kind: "PipelineRun"}
	kindTaskRun = cluster.Kind{APIVersion: "tekton.dev/v1", Kind: "TaskRun"}
)

// Labels and annotations that runs have.
const (
	environmentLabel = "lockstep.dev/environment"
	applicationLabel = "lockstep.dev/application"
	partLabel        = "app.kubernetes.io/part-of"
	product          = "lockstep"
	commitNote       = "lockstep.dev/commit"
	runLabel         = "tekton.dev/pipelineRun"
	taskLabel        = "tekton.dev/pipelineTask"
)

// Run is a PipelineRun.
type Run struct {
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"`
	Environment string    `json:"environment,omitempty"` // that it deploys
	Application string    `json:"application,omitempty"` // that it builds
	Commit      string    `json:"commit,omitempty"`      // that started it
	Started     time.Time `json:"started,omitzero"`
	Ended       time.Time `json:"ended,omitzero"`
	State       string    `json:"state"`            // Tekton's reason: Running, Succeeded, Failed …
	Reason      string    `json:"reason,omitempty"` // of a failure, in Tekton's words
}

// List are Lockstep's runs of a namespace ("": of all) of any of the environments and
// applications (none: all), newest first.
func List(ctx context.Context, c *cluster.Client, namespace string, names ...string) ([]Run, error) {
	found, err := c.List(ctx, kindRun, namespace, "")
	if err != nil {
		return nil, err
	}
	runs := []Run{}
	for _, o := range found {
		r := runOf(o)
		if r.Environment == "" && r.Application == "" && o.GetLabels()[partLabel] != product {
			continue // somebody else's
		}
		if len(names) == 0 || slices.Contains(names, r.Environment) || slices.Contains(names, r.Application) {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b Run) int {
		return cmp.Or(b.Started.Compare(a.Started), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return runs, nil
}

func runOf(o unstructured.Unstructured) Run {
	r := Run{
		Namespace: o.GetNamespace(), Name: o.GetName(), Commit: o.GetAnnotations()[commitNote], Started: o.GetCreationTimestamp().Time,
		Environment: o.GetLabels()[environmentLabel], Application: o.GetLabels()[applicationLabel], State: "Pending",
	}
	r.Ended = timeAt(o, "completionTime")
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, condition := range conditions {
		condition, _ := condition.(map[string]any)
		if condition["type"] != "Succeeded" {
			continue
		}
		r.State = fmt.Sprint(condition["reason"])
		if condition["status"] == "False" {
			r.Reason = fmt.Sprint(condition["message"])
		}
	}
	return r
}

func timeAt(o unstructured.Unstructured, key string) time.Time {
	text, _, _ := unstructured.NestedString(o.Object, "status", key)
	t, _ := time.Parse(time.RFC3339, text) // none is the zero time
	return t
}

// Find is the run of that name in a namespace ("": in any; then the name must be
// there once).
func Find(ctx context.Context, c *cluster.Client, namespace, name string) (Run, error) {
	runs, err := List(ctx, c, namespace)
	if err != nil {
		return Run{}, err
	}
	runs = slices.DeleteFunc(runs, func(r Run) bool { return r.Name != name })
	switch len(runs) {
	case 0:
		return Run{}, fault.Usage("RunNotFound", fmt.Errorf("there is no run %q", name), "lockstep get pipelines lists them.")
	case 1:
		return runs[0], nil
	}
	return Run{}, fault.Usage("RunAmbiguous", fmt.Errorf("%d namespaces have a run %q", len(runs), name), "Give --namespace.")
}

// Logs writes what the steps of a run printed, task by task in the order in which
// they started, each line behind the name of its task and step. With follow it goes on
// until the run has ended.
func Logs(ctx context.Context, c *cluster.Client, r Run, follow bool, out io.Writer) error {
	told := map[string]bool{}
	for {
		tasks, err := c.List(ctx, kindTaskRun, r.Namespace, runLabel+"="+r.Name)
		if err != nil {
			return err
		}
		slices.SortFunc(tasks, func(a, b unstructured.Unstructured) int {
			return timeAt(a, "startTime").Compare(timeAt(b, "startTime"))
		})
		for _, task := range tasks {
			if err := taskLogs(ctx, c, task, follow, told, out); err != nil {
				return err
			}
		}
		now, err := Find(ctx, c, r.Namespace, r.Name)
		if err != nil || !follow || !now.Ended.IsZero() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// taskLogs writes those of the steps that have started and were not told before.
func taskLogs(ctx context.Context, c *cluster.Client, task unstructured.Unstructured, follow bool, told map[string]bool, out io.Writer) error {
	pod, _, _ := unstructured.NestedString(task.Object, "status", "podName")
	steps, _, _ := unstructured.NestedSlice(task.Object, "status", "steps")
	name := cmp.Or(task.GetLabels()[taskLabel], task.GetName())
	for _, step := range steps {
		step, _ := step.(map[string]any)
		container, _ := step["container"].(string)
		_, waits := step["waiting"]
		key := task.GetName() + "/" + container
		if pod == "" || container == "" || waits || told[key] {
			continue
		}
		told[key] = true
		lines := &prefixed{out: out, prefix: fmt.Sprintf("[%s %v] ", name, step["name"])}
		if err := c.CopyLog(ctx, task.GetNamespace(), pod, container, follow, lines); err != nil {
			fmt.Fprintf(out, "[%s %v] (%v)\n", name, step["name"], err)
		}
		if err := lines.end(); err != nil {
			return err
		}
	}
	return nil
}

// prefixed puts a text in front of each line.
type prefixed struct {
	out    io.Writer
	prefix string
	rest   []byte // of a line that is not whole yet
}

func (p *prefixed) Write(text []byte) (int, error) {
	p.rest = append(p.rest, text...)
	for {
		line, rest, whole := strings.Cut(string(p.rest), "\n")
		if !whole {
			return len(text), nil
		}
		p.rest = []byte(rest)
		if _, err := fmt.Fprintf(p.out, "%s%s\n", p.prefix, line); err != nil {
			return 0, err
		}
	}
}

func (p *prefixed) end() error {
	if len(p.rest) == 0 {
		return nil
	}
	_, err := p.Write([]byte("\n"))
	return err
}
