//go:build e2e

package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/reconciler/pipeline/dag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/lockstep-cd/lockstep/internal/runner"
)

// view is what is compared of a run: values by the name of the field.
type view map[string]string

type difference struct{ field, here, there string }

// exception is a difference that is known, with its reason. A field that ends
// in * stands for all that begin so. One that is there only sometimes, because
// of a race on the cluster, need not be seen.
type exception struct {
	name, field, reason string
	sometimes           bool
}

func diff(here, there view) []difference {
	var found []difference
	fields := maps.Clone(here)
	maps.Copy(fields, there)
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if here[field] != there[field] {
			found = append(found, difference{field, orNone(here[field]), orNone(there[field])})
		}
	}
	return found
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// accepted returns the reason for which a difference is accepted, or "".
func accepted(name string, d difference, used map[string]bool) string {
	for _, e := range exceptions {
		prefix, open := strings.CutSuffix(e.field, "*")
		if e.name == name && (e.field == d.field || open && strings.HasPrefix(d.field, prefix)) {
			used[e.name+e.field] = true
			return e.reason
		}
	}
	return ""
}

// runsOf are the runs among the objects of a file.
func runsOf(objects []metav1.Object) []metav1.Object {
	return slices.DeleteFunc(objects, func(o metav1.Object) bool {
		switch o.(type) {
		case *pipelinev1.PipelineRun, *pipelinev1.TaskRun:
			return false
		}
		return true
	})
}

// name gives the run of a file that names none the same name on both sides: the
// names of its TaskRuns follow from it.
func name(o metav1.Object, number int) {
	if o.GetName() == "" {
		o.SetName(generated(o.GetGenerateName(), number))
	}
}

func generated(prefix string, number int) string { return fmt.Sprintf("%srun%d", prefix, number) }

// viewOf flattens a run. namespace is where it ran: in the values stands the
// runner's instead.
func viewOf(pr *pipelinev1.PipelineRun, taskRuns map[string]*pipelinev1.TaskRun, namespace string) view {
	v := &builder{view{}, regexp.MustCompile(`\b` + namespace + `\b`)}
	for _, tr := range taskRuns {
		v.addTaskRun(tr)
	}
	if pr != nil {
		v.addPipelineRun(pr)
		v.addOrder(pr, taskRuns)
	}
	return v.view
}

type builder struct {
	view
	namespace *regexp.Regexp
}

var uid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func (b *builder) set(field, value string) {
	b.view[field] = uid.ReplaceAllString(b.namespace.ReplaceAllString(value, runner.Namespace), "<uid>")
}

func (b *builder) state(field string, c *apis.Condition) {
	if c != nil {
		b.set(field, string(c.Status)+" "+c.Reason)
	}
}

func (b *builder) addPipelineRun(pr *pipelinev1.PipelineRun) {
	at := "pipelinerun " + pr.Name
	b.state(at, pr.Status.GetCondition(apis.ConditionSucceeded))
	for _, r := range pr.Status.Results {
		b.set(at+" result "+r.Name, text(r.Value))
	}
	for _, s := range pr.Status.SkippedTasks {
		b.set(at+" skipped "+s.Name, string(s.Reason)+" "+text(s.WhenExpressions))
	}
	for _, c := range pr.Status.ChildReferences {
		b.set(at+" child "+c.Name, c.PipelineTaskName+" "+c.DisplayName)
	}
}

func (b *builder) addTaskRun(tr *pipelinev1.TaskRun) {
	at := "taskrun " + tr.Name
	b.addAttempt(at, tr.Status)
	b.set(at+" retries", fmt.Sprint(len(tr.Status.RetriesStatus)))
	for i, s := range tr.Status.RetriesStatus {
		b.addAttempt(fmt.Sprintf("%s attempt %d", at, i), s)
	}
}

func (b *builder) addAttempt(at string, s pipelinev1.TaskRunStatus) {
	b.state(at, s.GetCondition(apis.ConditionSucceeded))
	for _, r := range s.Results {
		b.set(at+" result "+r.Name, string(r.Type)+" "+text(r.Value))
	}
	for i, step := range s.Steps {
		field := fmt.Sprintf("%s step %d %s", at, i, step.Name)
		if step.Terminated == nil {
			b.set(field, "not ended")
			continue
		}
		b.set(field, fmt.Sprintf("exit %d %s", step.Terminated.ExitCode, step.TerminationReason))
		for _, r := range step.Results {
			b.set(field+" result "+r.Name, string(r.Type)+" "+text(r.Value))
		}
	}
}

// addOrder says for each task and each that must wait for it whether it did.
// Tasks that need not wait may come in any order.
func (b *builder) addOrder(pr *pipelinev1.PipelineRun, taskRuns map[string]*pipelinev1.TaskRun) {
	if pr.Status.PipelineSpec == nil {
		return
	}
	tasks, spans := pipelinev1.PipelineTaskList(pr.Status.PipelineSpec.Tasks), spansOf(taskRuns)
	graph, err := dag.Build(tasks, tasks.Deps())
	if err != nil {
		return
	}
	for name, node := range graph.Nodes {
		for _, before := range node.Prev {
			b.precedes(spans, before.Key, name)
		}
		for _, final := range pr.Status.PipelineSpec.Finally {
			b.precedes(spans, name, final.Name)
		}
	}
}

func (b *builder) precedes(spans map[string]span, first, second string) {
	one, ran := spans[first]
	other, too := spans[second]
	if ran && too {
		b.set("order "+first+" before "+second, fmt.Sprint(!other.start.Before(&one.end)))
	}
}

// span is when the first TaskRun of a task started and the last one ended.
type span struct{ start, end metav1.Time }

func spansOf(taskRuns map[string]*pipelinev1.TaskRun) map[string]span {
	spans := map[string]span{}
	for _, tr := range taskRuns {
		if tr.Status.StartTime == nil || tr.Status.CompletionTime == nil {
			continue
		}
		task := tr.Labels["tekton.dev/pipelineTask"]
		s, seen := spans[task]
		if !seen || tr.Status.StartTime.Before(&s.start) {
			s.start = *tr.Status.StartTime
		}
		if !seen || s.end.Before(tr.Status.CompletionTime) {
			s.end = *tr.Status.CompletionTime
		}
		spans[task] = s
	}
	return spans
}

func text(value any) string {
	out, err := json.Marshal(value)
	if err != nil || string(out) == "null" {
		return ""
	}
	return string(out)
}
