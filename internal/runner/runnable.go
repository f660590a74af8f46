package runner

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelinev1beta1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Request is what a caller says about a run besides its YAML.
type Request struct {
	// Params by name. A value for an array is one item per line; for an object
	// it is key=value per line, or JSON.
	Params map[string]string
	// Workspaces names those that are bound to folders of this machine.
	Workspaces []string
}

// Runnable returns the run of an object: a PipelineRun or TaskRun as it is, a
// Pipeline, Task or StepAction wrapped into one. The request's parameters and
// workspaces stand in front of the object's own.
func Runnable(o metav1.Object, q Request) (metav1.Object, error) {
	switch o := o.(type) {
	case *pipelinev1.PipelineRun:
		return o, q.intoRun(&o.Spec.Params, &o.Spec.Workspaces, nil)
	case *pipelinev1.TaskRun:
		return o, q.intoRun(&o.Spec.Params, &o.Spec.Workspaces, nil)
	case *pipelinev1.Pipeline:
		pr := &pipelinev1.PipelineRun{}
		pr.GenerateName = o.Name + "-"
		pr.Spec.PipelineRef = &pipelinev1.PipelineRef{Name: o.Name}
		if err := q.known(o.Name, o.Spec.Params, pipelineWorkspaces(o)); err != nil {
			return nil, err
		}
		for _, w := range o.Spec.Workspaces {
			if !w.Optional && !slices.Contains(q.Workspaces, w.Name) {
				pr.Spec.Workspaces = append(pr.Spec.Workspaces, emptyBinding(w.Name))
			}
		}
		return pr, q.intoRun(&pr.Spec.Params, &pr.Spec.Workspaces, o.Spec.Params)
	case *pipelinev1.Task:
		return taskRunOf(o, q, &pipelinev1.TaskRun{Spec: pipelinev1.TaskRunSpec{TaskRef: &pipelinev1.TaskRef{Name: o.Name}}})
	case *pipelinev1beta1.StepAction:
		t := taskAround(o)
		return taskRunOf(t, q, &pipelinev1.TaskRun{Spec: pipelinev1.TaskRunSpec{TaskSpec: &t.Spec}})
	}
	return nil, fault.Usage("NothingToRun", fmt.Errorf("%T cannot be run", o), "")
}

func taskRunOf(t *pipelinev1.Task, q Request, tr *pipelinev1.TaskRun) (metav1.Object, error) {
	tr.GenerateName = t.Name + "-"
	var workspaces []string
	for _, w := range t.Spec.Workspaces {
		workspaces = append(workspaces, w.Name)
	}
	if err := q.known(t.Name, t.Spec.Params, workspaces); err != nil {
		return nil, err
	}
	for _, w := range t.Spec.Workspaces {
		if !w.Optional && !slices.Contains(q.Workspaces, w.Name) {
			tr.Spec.Workspaces = append(tr.Spec.Workspaces, emptyBinding(w.Name))
		}
	}
	return tr, q.intoRun(&tr.Spec.Params, &tr.Spec.Workspaces, t.Spec.Params)
}

// taskAround is a Task of one step that refers to a StepAction and takes and
// hands on everything that it does.
func taskAround(a *pipelinev1beta1.StepAction) *pipelinev1.Task {
	step := pipelinev1.Step{Name: a.Name, Ref: &pipelinev1.Ref{Name: a.Name}}
	t := &pipelinev1.Task{ObjectMeta: metav1.ObjectMeta{Name: a.Name}}
	for _, p := range a.Spec.Params {
		t.Spec.Params = append(t.Spec.Params, p)
		step.Params = append(step.Params, pipelinev1.Param{Name: p.Name, Value: reference(p)})
	}
	for _, r := range a.Spec.Results {
		t.Spec.Results = append(t.Spec.Results, pipelinev1.TaskResult{
			Name: r.Name, Type: r.Type, Properties: r.Properties, Description: r.Description,
			Value: pipelinev1.NewStructuredValues("$(steps." + a.Name + ".results." + r.Name + ")"),
		})
	}
	t.Spec.Steps = []pipelinev1.Step{step}
	return t
}

// reference is the expression that hands a parameter on whole.
func reference(p pipelinev1.ParamSpec) pipelinev1.ParamValue {
	if p.Type == pipelinev1.ParamTypeArray || p.Type == pipelinev1.ParamTypeObject {
		return *pipelinev1.NewStructuredValues("$(params." + p.Name + "[*])")
	}
	return *pipelinev1.NewStructuredValues("$(params." + p.Name + ")")
}

func pipelineWorkspaces(p *pipelinev1.Pipeline) []string {
	var names []string
	for _, w := range p.Spec.Workspaces {
		names = append(names, w.Name)
	}
	return names
}

func emptyBinding(name string) pipelinev1.WorkspaceBinding {
	return pipelinev1.WorkspaceBinding{Name: name, EmptyDir: &corev1.EmptyDirVolumeSource{}}
}

// known refuses names that the object does not declare, which Tekton would
// ignore, so that a misspelt one does not go unnoticed.
func (q Request) known(object string, params pipelinev1.ParamSpecs, workspaces []string) error {
	var unknown []string
	for name := range q.Params {
		if !slices.ContainsFunc(params, func(p pipelinev1.ParamSpec) bool { return p.Name == name }) {
			unknown = append(unknown, "parameter "+name)
		}
	}
	for _, name := range q.Workspaces {
		if !slices.Contains(workspaces, name) {
			unknown = append(unknown, "workspace "+name)
		}
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		return fault.Usage("UnknownName", fmt.Errorf("%s has no %s", object, strings.Join(unknown, ", no ")), "names are written as in its YAML")
	}
	return q.complete(object, params)
}

// complete asks for the parameters that have no default, all at once.
func (q Request) complete(object string, params pipelinev1.ParamSpecs) error {
	var missing []string
	for _, p := range params {
		if _, given := q.Params[p.Name]; p.Default == nil && !given {
			missing = append(missing, fmt.Sprintf("\n  %s: %s", p.Name, p.Description))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fault.Usage("ParameterMissing", fmt.Errorf("%s needs these parameters: %s", object, strings.Join(missing, "")), "give each as --param NAME=VALUE")
}

// intoRun puts the request into the spec of a run.
func (q Request) intoRun(params *pipelinev1.Params, bindings *[]pipelinev1.WorkspaceBinding, specs pipelinev1.ParamSpecs) error {
	for name, text := range q.Params {
		value, err := paramValue(name, text, specs)
		if err != nil {
			return err
		}
		*params = slices.DeleteFunc(*params, func(p pipelinev1.Param) bool { return p.Name == name })
		*params = append(*params, pipelinev1.Param{Name: name, Value: value})
	}
	sort.Slice(*params, func(i, j int) bool { return (*params)[i].Name < (*params)[j].Name })
	for _, name := range q.Workspaces {
		*bindings = slices.DeleteFunc(*bindings, func(b pipelinev1.WorkspaceBinding) bool { return b.Name == name })
		*bindings = append(*bindings, folderBinding(name))
	}
	return nil
}

// paramValue reads a value in the form of its declaration.
func paramValue(name, text string, specs pipelinev1.ParamSpecs) (pipelinev1.ParamValue, error) {
	i := slices.IndexFunc(specs, func(p pipelinev1.ParamSpec) bool { return p.Name == name })
	if i < 0 || specs[i].Type != pipelinev1.ParamTypeArray && specs[i].Type != pipelinev1.ParamTypeObject {
		return *pipelinev1.NewStructuredValues(text), nil
	}
	var value pipelinev1.ParamValue
	if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
		if err := value.UnmarshalJSON([]byte(text)); err == nil && value.Type == specs[i].Type {
			return value, nil
		}
	}
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
	if specs[i].Type == pipelinev1.ParamTypeArray {
		return pipelinev1.ParamValue{Type: pipelinev1.ParamTypeArray, ArrayVal: lines}, nil
	}
	value = pipelinev1.ParamValue{Type: pipelinev1.ParamTypeObject, ObjectVal: map[string]string{}}
	for _, line := range lines {
		key, v, ok := strings.Cut(line, "=")
		if !ok {
			return value, fault.Usage("InvalidParameters", fmt.Errorf("parameter %s is an object: %q is not key=value", name, line), "give key=value per line, or JSON")
		}
		value.ObjectVal[key] = v
	}
	return value, nil
}
