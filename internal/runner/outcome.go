package runner

import (
	"encoding/json"
	"fmt"
	"sort"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
)

// Result is a value that a run handed on. Arrays and objects are JSON.
type Result struct{ Name, Value string }

// Results are those of the run, in the order of its YAML.
func (o *Outcome) Results() []Result {
	if o == nil {
		return nil
	}
	var list []Result
	if o.PipelineRun != nil {
		for _, r := range o.PipelineRun.Status.Results {
			list = append(list, Result{r.Name, plain(r.Value)})
		}
		return list
	}
	for _, tr := range o.TaskRuns {
		for _, r := range tr.Status.Results {
			list = append(list, Result{r.Name, plain(r.Value)})
		}
	}
	return list
}

func plain(v pipelinev1.ResultValue) string {
	if v.Type == pipelinev1.ParamTypeString {
		return v.StringVal
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// Task is how a task of a run ended.
type Task struct {
	Name   string
	Reason string
	Well   bool
	Took   time.Duration
	Steps  []Step
}

// Step is how a step ended.
type Step struct {
	Name   string
	Reason string
	Took   time.Duration
}

// Tasks are those of the run in the order in which they started, then those
// that were skipped.
func (o *Outcome) Tasks() []Task {
	var runs []*pipelinev1.TaskRun
	for _, tr := range o.TaskRuns {
		runs = append(runs, tr)
	}
	sort.Slice(runs, func(i, j int) bool {
		a, b := runs[i].CreationTimestamp, runs[j].CreationTimestamp
		if a.Equal(&b) {
			return runs[i].Name < runs[j].Name
		}
		return a.Before(&b)
	})
	var list []Task
	for _, tr := range runs {
		list = append(list, describe(tr))
	}
	if o.PipelineRun != nil {
		for _, s := range o.PipelineRun.Status.SkippedTasks {
			list = append(list, Task{Name: s.Name, Reason: "skipped: " + string(s.Reason), Well: true})
		}
	}
	return list
}

func describe(tr *pipelinev1.TaskRun) Task {
	t := Task{Name: taskName(tr)}
	if c := tr.Status.GetCondition(apis.ConditionSucceeded); c != nil {
		t.Reason, t.Well = c.Reason, c.IsTrue()
	}
	if tr.Status.StartTime != nil && tr.Status.CompletionTime != nil {
		t.Took = tr.Status.CompletionTime.Sub(tr.Status.StartTime.Time)
	}
	for _, s := range tr.Status.Steps {
		step := Step{Name: s.Name, Reason: s.TerminationReason}
		if s.Terminated != nil {
			step.Took = s.Terminated.FinishedAt.Sub(s.Terminated.StartedAt.Time)
		}
		t.Steps = append(t.Steps, step)
	}
	return t
}

// Refused is the outcome of a run that could not start, for those who keep it
// all the same.
func Refused(o metav1.Object, err error) *Outcome {
	switch o := o.(type) {
	case *pipelinev1.PipelineRun:
		o.Status.MarkFailed("NotSupportedHere", "%s", err.Error())
		return &Outcome{PipelineRun: o}
	case *pipelinev1.TaskRun:
		o.Status.MarkResourceFailed("NotSupportedHere", err)
		return &Outcome{TaskRuns: map[string]*pipelinev1.TaskRun{o.Name: o}}
	}
	return &Outcome{}
}
