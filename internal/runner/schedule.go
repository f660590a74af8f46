package runner

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tektoncd/pipeline/pkg/apis/config"
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/reconciler/pipelinerun/resources"
	"github.com/tektoncd/pipeline/pkg/reconciler/volumeclaim"
	"github.com/tektoncd/pipeline/pkg/substitution"
	"github.com/tektoncd/pipeline/pkg/workspace"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/kmeta"
)

// startNext starts the tasks whose turn it is, as runNextSchedulableTask does.
func (p *pipelineRun) startNext(ctx context.Context, facts *resources.PipelineRunFacts) error {
	next, err := facts.DAGExecutionQueue()
	if err != nil {
		return err
	}
	for _, rpt := range next {
		if err := resources.CheckMissingResultReferences(facts.State, rpt); err != nil {
			next = nil
			facts.ValidationFailedTask = append(facts.ValidationFailedTask, rpt)
			if facts.ValidationFailedErrors == nil {
				facts.ValidationFailedErrors = map[string]string{}
			}
			facts.ValidationFailedErrors[rpt.PipelineTask.Name] = err.Error()
		}
	}
	final, err := p.finalTasks(facts)
	if err != nil {
		return err
	}
	next = append(next, final...)
	if p.pr.Status.FinallyStartTime == nil && facts.IsFinalTaskStarted() {
		p.finallyStarted(facts)
	}
	resources.ApplyResultsToWorkspaceBindings(facts.State.GetTaskRunsResults(), p.pr)
	for _, rpt := range next {
		if err := p.startTask(ctx, facts, rpt); err != nil {
			return err
		}
	}
	return nil
}

// finalTasks are those of finally, once the others are done, with what they take
// from them. One whose results are missing is left out: Tekton skips it.
func (p *pipelineRun) finalTasks(facts *resources.PipelineRunFacts) (resources.PipelineRunState, error) {
	final := facts.GetFinalTasks()
	if len(final) == 0 {
		return nil, nil
	}
	resources.ApplyPipelineTaskStateContext(final, facts.GetPipelineTaskStatus())
	var ready resources.PipelineRunState
	for _, rpt := range final {
		refs, _, err := resources.ResolveResultRef(facts.State, rpt)
		if err != nil {
			continue
		}
		resources.ApplyTaskResults(resources.PipelineRunState{rpt}, refs)
		if err := rpt.EvaluateCEL(); err != nil {
			return nil, p.fail(pipelinev1.PipelineRunReasonCELEvaluationFailed, err)
		}
		ready = append(ready, rpt)
	}
	return ready, nil
}

// startTask starts the TaskRuns of a task: one, or as many as its matrix has
// combinations.
func (p *pipelineRun) startTask(ctx context.Context, facts *resources.PipelineRunFacts, rpt *resources.ResolvedPipelineTask) error {
	if rpt.IsFinalTask(facts) {
		p.finallyStarted(facts)
	}
	if rpt.Skip(facts).IsSkipped || rpt.IsFinallySkipped(facts).IsSkipped {
		return nil
	}
	resources.PropagateResults(rpt, facts.State)
	if err := resources.PropagateArtifacts(rpt, facts.State); err != nil {
		return err
	}
	var combinations []pipelinev1.Params
	if rpt.PipelineTask.IsMatrixed() {
		if err := resources.ValidateParameterTypesInMatrix(facts.State); err != nil {
			return p.fail(pipelinev1.PipelineRunReasonInvalidMatrixParameterTypes, err)
		}
		combinations = rpt.PipelineTask.Matrix.FanOut()
	}
	for i, name := range rpt.TaskRunNames {
		var params pipelinev1.Params
		if i < len(combinations) {
			params = combinations[i]
		}
		tr, err := p.newTaskRun(ctx, facts, rpt, name, params)
		if err != nil {
			return err
		}
		rpt.TaskRuns = append(rpt.TaskRuns, tr)
		p.start(ctx, tr)
	}
	return nil
}

// newTaskRun is the TaskRun that Tekton would create (createTaskRun).
func (p *pipelineRun) newTaskRun(ctx context.Context, facts *resources.PipelineRunFacts, rpt *resources.ResolvedPipelineTask, name string, params pipelinev1.Params) (*pipelinev1.TaskRun, error) {
	rpt.PipelineTask = resources.ApplyPipelineTaskContexts(rpt.PipelineTask, p.pr.Status, facts)
	pt, spec := rpt.PipelineTask, p.pr.GetTaskRunSpec(rpt.PipelineTask.Name)
	tr := &pipelinev1.TaskRun{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: p.pr.Namespace, OwnerReferences: []metav1.OwnerReference{*kmeta.NewControllerRef(p.pr)},
			Labels:      map[string]string{"tekton.dev/pipelineRun": p.pr.Name, "tekton.dev/pipelineTask": pt.Name, "tekton.dev/pipeline": p.name},
			Annotations: map[string]string{},
		},
		Spec: pipelinev1.TaskRunSpec{
			Retries: pt.Retries, Params: append(params, pt.Params...), StepSpecs: spec.StepSpecs, Timeout: p.taskTimeout(ctx, facts, rpt),
		},
	}
	Identify(tr, "")
	if pt.OnError == pipelinev1.PipelineTaskContinue {
		tr.Annotations[pipelinev1.PipelineTaskOnErrorAnnotation] = string(pipelinev1.PipelineTaskContinue)
	}
	if spec.Timeout != nil {
		tr.Spec.Timeout = spec.Timeout
	}
	if rpt.ResolvedTask.TaskName != "" {
		tr.Spec.TaskRef = pt.TaskRef
	} else {
		tr.Spec.TaskSpec = rpt.ResolvedTask.TaskSpec
	}
	var err error
	tr.Spec.Workspaces, err = p.bindings(rpt)
	tr.Status.InitializeConditions()
	return tr, err
}

// taskTimeout is the task's own timeout, or the run's where that is longer than
// what a task has by default.
func (p *pipelineRun) taskTimeout(ctx context.Context, facts *resources.PipelineRunFacts, rpt *resources.ResolvedPipelineTask) *metav1.Duration {
	if rpt.PipelineTask.Timeout != nil {
		return rpt.PipelineTask.Timeout
	}
	timeout := p.pr.TasksTimeout()
	if rpt.IsFinalTask(facts) {
		timeout = p.pr.FinallyTimeout()
	}
	usual := time.Duration(config.FromContextOrDefaults(ctx).Defaults.DefaultTimeoutMinutes) * time.Minute
	if timeout == nil || timeout.Duration != config.NoTimeoutDuration && timeout.Duration <= usual {
		return nil
	}
	return timeout
}

// bindings are the TaskRun's workspaces (getTaskrunWorkspaces).
func (p *pipelineRun) bindings(rpt *resources.ResolvedPipelineTask) ([]pipelinev1.WorkspaceBinding, error) {
	bound := map[string]pipelinev1.WorkspaceBinding{}
	for _, b := range p.pr.Spec.Workspaces {
		bound[b.Name] = b
	}
	if err := propagate(rpt); err != nil {
		return nil, err
	}
	var bindings []pipelinev1.WorkspaceBinding
	for _, w := range rpt.PipelineTask.Workspaces {
		source := w.Workspace
		if source == "" {
			source = w.Name
		}
		b, ok := bound[source]
		if !ok {
			if optional(rpt, w.Name) {
				continue
			}
			return nil, fmt.Errorf("expected workspace %q to be provided by pipelinerun for pipeline task %q", source, rpt.PipelineTask.Name)
		}
		b = p.claimed(*b.DeepCopy())
		b.Name, b.SubPath = w.Name, joined(b.SubPath, w.SubPath)
		b.SubPath = substitution.ApplyReplacements(b.SubPath, resources.GetContextReplacements(p.name, p.pr))
		bindings = append(bindings, b)
	}
	return bindings, nil
}

// claimed puts the claim that a template makes, one for the whole run, in the
// template's place.
func (p *pipelineRun) claimed(b pipelinev1.WorkspaceBinding) pipelinev1.WorkspaceBinding {
	if b.VolumeClaimTemplate == nil {
		return b
	}
	name := volumeclaim.GeneratePVCNameFromWorkspaceBinding(b.VolumeClaimTemplate.Name, b, *kmeta.NewControllerRef(p.pr))
	b.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}
	b.VolumeClaimTemplate = nil
	return b
}

// propagate adds the workspaces that an embedded Task uses without declaring
// them.
func propagate(rpt *resources.ResolvedPipelineTask) error {
	if rpt.PipelineTask.TaskSpec == nil {
		return nil
	}
	used, err := workspace.FindWorkspacesUsedByTask(rpt.PipelineTask.TaskSpec.TaskSpec)
	if err != nil {
		return err
	}
	for _, w := range rpt.PipelineTask.Workspaces {
		used.Delete(w.Name)
	}
	for _, name := range used.List() {
		rpt.PipelineTask.Workspaces = append(rpt.PipelineTask.Workspaces, pipelinev1.WorkspacePipelineTaskBinding{Name: name})
	}
	return nil
}

func optional(rpt *resources.ResolvedPipelineTask, name string) bool {
	for _, w := range rpt.ResolvedTask.TaskSpec.Workspaces {
		if w.Name == name {
			return w.Optional
		}
	}
	return false
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return filepath.Join(a, b)
}
