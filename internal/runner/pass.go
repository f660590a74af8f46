package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelinev1beta1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	"github.com/tektoncd/pipeline/pkg/reconciler/pipeline/dag"
	"github.com/tektoncd/pipeline/pkg/reconciler/pipelinerun/pipelinespec"
	"github.com/tektoncd/pipeline/pkg/reconciler/pipelinerun/resources"
	"github.com/tektoncd/pipeline/pkg/reconciler/taskrun"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
)

// This file does for a run what Tekton's pipelinerun reconciler does each time
// that it looks at one (pkg/reconciler/pipelinerun/pipelinerun.go, reconcile and
// runNextSchedulableTask), in the same order and with the same functions. What
// that reconciler does to the cluster is left out.

// resolve finds the Pipeline, once, and marks the run failed where it is
// invalid.
func (p *pipelineRun) resolve(ctx context.Context) error {
	meta, spec, err := pipelinespec.GetPipelineData(ctx, p.pr, p.runner.Catalog.pipeline)
	if err != nil {
		return p.fail(pipelinev1.PipelineRunReasonCouldntGetPipeline, fmt.Errorf("Error retrieving pipeline for pipelinerun %s/%s: %w", p.pr.Namespace, p.pr.Name, err)) //nolint:staticcheck // Tekton's words
	}
	p.name, p.spec = meta.Name, spec.DeepCopy()
	maps.Copy(p.pr.Labels, meta.Labels)
	p.pr.Labels["tekton.dev/pipeline"] = p.name
	tasks := pipelinev1.PipelineTaskList(p.spec.Tasks)
	if p.dag, err = dag.Build(tasks, tasks.Deps()); err != nil {
		return p.fail(pipelinev1.PipelineRunReasonInvalidGraph, err)
	}
	if p.final, err = dag.Build(pipelinev1.PipelineTaskList(p.spec.Finally), map[string][]string{}); err != nil {
		return p.fail(pipelinev1.PipelineRunReasonInvalidGraph, err)
	}
	if err := p.spec.Validate(ctx); err != nil {
		return p.fail(pipelinev1.PipelineRunReasonFailedValidation, err)
	}
	return p.validateRun()
}

// validateRun checks what the run gives against what the Pipeline takes.
func (p *pipelineRun) validateRun() error {
	for _, check := range []struct {
		reason pipelinev1.PipelineRunReason
		err    error
	}{
		{pipelinev1.PipelineRunReasonParameterMissing, resources.ValidateRequiredParametersProvided(&p.spec.Params, &p.pr.Spec.Params)},
		{pipelinev1.PipelineRunReasonParameterTypeMismatch, resources.ValidateParamTypesMatching(p.spec, p.pr)},
		{pipelinev1.PipelineRunReasonObjectParameterMissKeys, resources.ValidateObjectParamRequiredKeys(p.spec.Params, p.pr.Spec.Params)},
		{pipelinev1.PipelineRunReasonParamArrayIndexingInvalid, resources.ValidateParamArrayIndex(p.spec, p.pr.Spec.Params)},
		{pipelinev1.PipelineRunReasonInvalidWorkspaceBinding, resources.ValidateWorkspaceBindings(p.spec, p.pr)},
		{pipelinev1.PipelineRunReasonInvalidTaskRunSpec, resources.ValidateTaskRunSpecs(p.spec, p.pr)},
	} {
		if check.err != nil {
			return p.fail(check.reason, check.err)
		}
	}
	return nil
}

func (p *pipelineRun) fail(reason pipelinev1.PipelineRunReason, err error) error {
	p.pr.Status.MarkFailed(reason.String(), "%s", err.Error())
	return err
}

// fill puts parameters, context and workspaces into a Pipeline.
func (p *pipelineRun) fill(spec *pipelinev1.PipelineSpec) (*pipelinev1.PipelineSpec, error) {
	resources.ApplyParametersToWorkspaceBindings(p.pr)
	filled, err := resources.ApplyParameters(spec.DeepCopy(), p.pr)
	if err != nil {
		return nil, err
	}
	filled = resources.ApplyContexts(filled, p.name, p.pr)
	filled = resources.ApplyWorkspaces(filled, p.pr)
	return filled, acyclic(filled)
}

// acyclic refuses references to results that came into a Pipeline with the
// default of a parameter and make a task wait for itself. Without it, Tekton's
// functions would follow them round and round.
func acyclic(spec *pipelinev1.PipelineSpec) error {
	tasks := pipelinev1.PipelineTaskList(spec.Tasks)
	_, err := dag.Build(tasks, tasks.Deps())
	return err
}

// pass looks at the run once: it starts what may start and sets the status.
func (p *pipelineRun) pass(ctx context.Context) {
	if p.pr.IsDone() {
		return
	}
	if err := p.look(ctx); err != nil {
		_ = p.fail(reasonInternal, err)
	}
}

// look is a pass. An error is a panic; what is wrong with the run is in its
// status.
func (p *pipelineRun) look(ctx context.Context) (err error) {
	defer p.runner.recovered(&err)
	spec, err := p.fill(p.spec)
	if err != nil {
		_ = p.fail(pipelinev1.PipelineRunReasonFailedValidation, err)
		return nil
	}
	p.pr.Status.PipelineSpec = spec
	facts, err := p.facts(ctx, spec)
	if err != nil {
		return nil //nolint:nilerr // it is in the status
	}
	if facts.State.IsBeforeFirstTaskRun() && p.validateResults(spec, facts) != nil {
		return nil
	}
	p.stopTimedOut(ctx, facts)
	if err := p.startNext(ctx, facts); err != nil {
		if !p.pr.IsDone() {
			_ = p.fail(pipelinev1.PipelineRunReasonCreateRunFailed, err)
		}
		return nil
	}
	facts.ResetSkippedCache()
	if p.pr.HasTimedOut(ctx, p.clock) {
		p.pr.SetTimeoutCondition(ctx)
		return nil
	}
	p.setStatus(ctx, spec, facts)
	return nil
}

// facts are what Tekton decides on: each task with its TaskRuns so far. Those
// that ran come first, because the others may refer to their results.
func (p *pipelineRun) facts(ctx context.Context, spec *pipelinev1.PipelineSpec) (*resources.PipelineRunFacts, error) {
	started := map[string]bool{}
	for _, child := range p.pr.Status.ChildReferences {
		started[child.PipelineTaskName] = true
	}
	var state resources.PipelineRunState
	all := append(append([]pipelinev1.PipelineTask{}, spec.Tasks...), spec.Finally...)
	for _, ran := range []bool{true, false} {
		for _, pt := range all {
			if started[pt.Name] != ran {
				continue
			}
			resolved, err := p.resolveTask(ctx, pt, state)
			if err != nil {
				return nil, err
			}
			state = append(state, resolved)
		}
	}
	if err := p.fillResults(state); err != nil {
		return nil, p.fail(pipelinev1.PipelineRunReasonInvalidTaskResultReference, err)
	}
	for _, rpt := range state {
		if err := taskrun.ValidateResolvedTask(ctx, rpt.PipelineTask.Params, rpt.PipelineTask.Matrix, rpt.ResolvedTask); err != nil {
			return nil, p.fail(pipelinev1.PipelineRunReasonFailedValidation, err)
		}
	}
	for _, rpt := range state {
		if err := rpt.EvaluateCEL(); err != nil {
			return nil, p.fail(pipelinev1.PipelineRunReasonCELEvaluationFailed, err)
		}
	}
	facts := &resources.PipelineRunFacts{State: state, SpecStatus: p.pr.Spec.Status, TasksGraph: p.dag, FinalTasksGraph: p.final}
	p.setTimeouts(ctx, facts)
	return facts, nil
}

// fillResults puts results into the tasks that refer to them, once the tasks that
// left them are done. Parts of several results can make up a reference of a task
// to itself: Tekton's functions would follow it round and round.
func (p *pipelineRun) fillResults(state resources.PipelineRunState) error {
	var tasks pipelinev1.PipelineTaskList
	for _, rpt := range state {
		if refs, _, err := resources.ResolveResultRef(state, rpt); err == nil {
			resources.ApplyTaskResults(resources.PipelineRunState{rpt}, refs)
		}
		if p.dag.Nodes[rpt.PipelineTask.Name] != nil {
			tasks = append(tasks, *rpt.PipelineTask)
		}
	}
	_, err := dag.Build(tasks, tasks.Deps())
	return err
}

func (p *pipelineRun) setTimeouts(ctx context.Context, facts *resources.PipelineRunFacts) {
	t := &facts.TimeoutsState
	t.Clock = p.clock
	if p.pr.Status.StartTime != nil {
		t.StartTime = &p.pr.Status.StartTime.Time
	}
	if p.pr.Status.FinallyStartTime != nil {
		t.FinallyStartTime = &p.pr.Status.FinallyStartTime.Time
	}
	if d := p.pr.TasksTimeout(); d != nil {
		t.TasksTimeout = &d.Duration
	}
	if d := p.pr.FinallyTimeout(); d != nil {
		t.FinallyTimeout = &d.Duration
	}
	if d := p.pr.PipelineTimeout(ctx); d != 0 {
		t.PipelineTimeout = &d
	}
}

func (p *pipelineRun) resolveTask(ctx context.Context, pt pipelinev1.PipelineTask, state resources.PipelineRunState) (*resources.ResolvedPipelineTask, error) {
	resolved, err := resources.ResolvePipelineTask(ctx, *p.pr,
		func(name string) (*pipelinev1.PipelineRun, error) { return nil, notFound("pipelineruns", name) },
		p.runner.Catalog.pipeline,
		p.runner.Catalog.task,
		func(name string) (*pipelinev1.TaskRun, error) {
			if tr, ok := p.taskRuns[name]; ok {
				return tr, nil
			}
			return nil, notFound("taskruns", name)
		},
		func(name string) (*pipelinev1beta1.CustomRun, error) { return nil, notFound("customruns", name) },
		pt, state)
	var missing *resources.TaskNotFoundError
	if errors.As(err, &missing) {
		return nil, p.fail(pipelinev1.PipelineRunReasonCouldntGetTask, fmt.Errorf("Pipeline %s can't be Run; it contains Tasks that don't exist: %w", p.name, missing)) //nolint:staticcheck // Tekton's words
	}
	if err != nil {
		return nil, p.fail(pipelinev1.PipelineRunReasonFailedValidation, err)
	}
	return resolved, nil
}

// validateResults checks references to results before the first task starts.
func (p *pipelineRun) validateResults(spec *pipelinev1.PipelineSpec, facts *resources.PipelineRunFacts) error {
	if err := resources.ValidatePipelineTaskResults(facts.State); err != nil {
		return p.fail(pipelinev1.PipelineRunReasonInvalidTaskResultReference, err)
	}
	if err := resources.ValidatePipelineResults(spec, facts.State); err != nil {
		return p.fail(pipelinev1.PipelineRunReasonInvalidPipelineResultReference, err)
	}
	if err := resources.ValidateOptionalWorkspaces(spec.Workspaces, facts.State); err != nil {
		return p.fail(pipelinev1.PipelineRunReasonRequiredWorkspaceMarkedOptional, err)
	}
	return nil
}

// stopTimedOut ends the tasks whose part of the run's time is over.
func (p *pipelineRun) stopTimedOut(ctx context.Context, facts *resources.PipelineRunFacts) {
	tasks := p.pr.Status.FinallyStartTime == nil && p.pr.HaveTasksTimedOut(ctx, p.clock)
	finally := p.pr.Status.FinallyStartTime != nil && p.pr.HasFinallyTimedOut(ctx, p.clock)
	if !tasks && !finally {
		return
	}
	for _, rpt := range facts.State {
		if rpt.IsFinalTask(facts) != finally {
			continue
		}
		for _, tr := range rpt.TaskRuns {
			if stop, ok := p.running[tr.Name]; ok {
				stop(&cancelled{string(pipelinev1.TaskRunCancelledByPipelineTimeoutMsg)})
			}
		}
	}
}

// setStatus sets the run's condition and what goes with it.
func (p *pipelineRun) setStatus(ctx context.Context, spec *pipelinev1.PipelineSpec, facts *resources.PipelineRunFacts) {
	status := &p.pr.Status
	after := facts.GetPipelineConditionStatus(ctx, p.pr, zap.NewNop().Sugar(), p.clock)
	switch after.Status {
	case corev1.ConditionTrue:
		status.MarkSucceeded(after.Reason, "%s", after.Message)
	case corev1.ConditionFalse:
		status.MarkFailed(after.Reason, "%s", after.Message)
	default:
		status.MarkRunning(after.Reason, "%s", after.Message)
	}
	status.StartTime = facts.State.AdjustStartTime(status.StartTime)
	status.ChildReferences = facts.GetChildReferences()
	status.SkippedTasks = facts.GetSkippedTasks()
	for _, s := range status.SkippedTasks {
		if !p.skipped[s.Name] {
			p.skipped[s.Name] = true
			p.runner.tell(Event{Kind: TaskSkipped, Task: s.Name, Reason: string(s.Reason)})
		}
	}
	if after := status.GetCondition(apis.ConditionSucceeded); after.IsUnknown() {
		return
	}
	states := maps.Clone(facts.GetPipelineTaskStatus())
	maps.Copy(states, facts.GetPipelineFinalTaskStatus())
	var err error
	status.Results, err = resources.ApplyTaskResultsToPipelineResults(spec.Results, facts.State.GetTaskRunsResults(), facts.State.GetRunsResults(), states)
	if err != nil {
		_ = p.fail(pipelinev1.PipelineRunReasonCouldntGetPipelineResult, err) // those that there are stay
	}
}

// finallyStarted notes when the first task of finally started.
func (p *pipelineRun) finallyStarted(facts *resources.PipelineRunFacts) {
	if p.pr.Status.FinallyStartTime == nil {
		p.pr.Status.FinallyStartTime = &metav1.Time{Time: p.clock.Now()}
	}
	if facts.TimeoutsState.FinallyStartTime == nil {
		facts.TimeoutsState.FinallyStartTime = &p.pr.Status.FinallyStartTime.Time
	}
}
