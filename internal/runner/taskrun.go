package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	podconvert "github.com/tektoncd/pipeline/pkg/pod"
	"github.com/tektoncd/pipeline/pkg/reconciler/taskrun"
	"github.com/tektoncd/pipeline/pkg/reconciler/taskrun/resources"
	"github.com/tektoncd/pipeline/pkg/workspace"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
)

// cancelled is the cause of a context that ends a TaskRun: the message is
// Tekton's for its spec.statusMessage.
type cancelled struct{ message string }

func (c *cancelled) Error() string { return "cancelled: " + c.message }

// errTaskTimeout is the cause of a context that ended with a TaskRun's timeout.
var errTaskTimeout = errors.New("the TaskRun exceeded its timeout")

// runTask runs a TaskRun with its retries and returns it with its status, as
// Tekton's reconciler would leave it. ctx ends it.
func (r *Runner) runTask(ctx context.Context, tr *pipelinev1.TaskRun, p *plan) *pipelinev1.TaskRun {
	tr = tr.DeepCopy()
	if err := r.runAttempts(ctx, tr, p); err != nil {
		finish(tr, reasonInternal, err)
		r.tellEnd(tr)
	}
	maskResults(tr)
	return tr
}

// reasonInternal is why a run failed that made this program, or Tekton's code in
// it, panic.
const reasonInternal = "InternalError"

// runAttempts runs the TaskRun until it ends for good. An error is a panic.
func (r *Runner) runAttempts(ctx context.Context, tr *pipelinev1.TaskRun, p *plan) (err error) {
	defer r.recovered(&err)
	tr.SetDefaults(ctx)
	r.tell(Event{Kind: TaskStarted, Task: taskName(tr), TaskRun: tr.Name})
	for {
		if tr.Status.StartTime == nil {
			tr.Status.InitializeConditions()
		}
		r.attempt(ctx, tr, p)
		condition := tr.Status.GetCondition(apis.ConditionSucceeded)
		if !condition.IsFalse() || tr.IsCancelled() || !tr.IsRetriable() {
			r.tellEnd(tr)
			return nil
		}
		r.tell(Event{Kind: TaskRetried, Task: taskName(tr), TaskRun: tr.Name, Reason: condition.Reason, Message: condition.Message})
		retry(tr, condition.Message)
	}
}

func (r *Runner) tellEnd(tr *pipelinev1.TaskRun) {
	c := tr.Status.GetCondition(apis.ConditionSucceeded)
	r.tell(Event{Kind: TaskEnded, Task: taskName(tr), TaskRun: tr.Name, Well: c.IsTrue(), Reason: c.Reason, Message: c.Message})
}

// retry keeps the status of the attempt that failed and clears it for the next,
// as Tekton's reconciler does.
func retry(tr *pipelinev1.TaskRun, message string) {
	last := tr.Status.DeepCopy()
	last.RetriesStatus = nil
	tr.Status.RetriesStatus = append(tr.Status.RetriesStatus, *last)
	tr.Status.StartTime, tr.Status.CompletionTime = nil, nil
	tr.Status.PodName, tr.Status.Results, tr.Status.Steps = "", nil, nil
	tr.Status.MarkResourceOngoing(pipelinev1.TaskRunReasonToBeRetried, message)
}

// attempt runs the TaskRun once and sets its status.
func (r *Runner) attempt(ctx context.Context, tr *pipelinev1.TaskRun, p *plan) {
	name, ts, err := r.prepareTask(ctx, tr)
	if err != nil {
		finish(tr, failureReason(err), err)
		return
	}
	if timeout := tr.GetTimeout(ctx); timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, time.Until(tr.Status.StartTime.Add(timeout)), errTaskTimeout)
		defer stop()
	}
	pd, err := r.newPod(ctx, name, ts, tr, p)
	if err != nil {
		finish(tr, podconvert.ReasonPodCreationFailed, err)
		return
	}
	defer pd.root.Close()
	cause := pd.run(ctx)
	if err := pd.report(ctx, cause, ts); err != nil {
		finish(tr, pipelinev1.TaskRunReasonFailedValidation, err)
	}
}

func finish(tr *pipelinev1.TaskRun, reason pipelinev1.TaskRunReason, err error) {
	tr.Status.MarkResourceFailed(reason, err)
	if tr.Status.CompletionTime == nil {
		tr.Status.CompletionTime = &metav1.Time{Time: time.Now()}
	}
}

// invalid is a TaskRun that Tekton would not start.
type invalidTask struct {
	reason pipelinev1.TaskRunReason
	err    error
}

func (e *invalidTask) Error() string { return e.err.Error() }
func (e *invalidTask) Unwrap() error { return e.err }

func failureReason(err error) pipelinev1.TaskRunReason {
	var invalid *invalidTask
	if errors.As(err, &invalid) {
		return invalid.reason
	}
	return pipelinev1.TaskRunReasonFailedResolution
}

// prepareTask resolves and validates, in the order of Tekton's reconciler.
func (r *Runner) prepareTask(ctx context.Context, tr *pipelinev1.TaskRun) (name string, ts *pipelinev1.TaskSpec, err error) {
	name, ts, err = r.resolve(ctx, tr)
	if err != nil {
		return "", nil, err
	}
	fails := func(err error) (string, *pipelinev1.TaskSpec, error) {
		return "", nil, &invalidTask{pipelinev1.TaskRunReasonFailedValidation, err}
	}
	resolved := &resources.ResolvedTask{TaskName: name, TaskSpec: ts, Kind: resources.GetTaskKind(tr)}
	if err := taskrun.ValidateResolvedTask(ctx, tr.Spec.Params, &pipelinev1.Matrix{}, resolved); err != nil {
		return fails(err)
	}
	if err := resources.ValidateParamArrayIndex(ts, tr.Spec.Params); err != nil {
		return fails(err)
	}
	declarations := ts.Workspaces
	if tr.Spec.TaskSpec != nil {
		// An embedded Task may leave the declarations out.
		declarations = declared(ts, tr.Spec.Workspaces).Workspaces
	}
	if err := workspace.ValidateBindings(ctx, declarations, tr.Spec.Workspaces); err != nil {
		return fails(err)
	}
	resources.ApplyParametersToWorkspaceBindings(ts, tr)
	return name, ts, nil
}

// newPod lays out the folders of an attempt and fills in the steps.
func (r *Runner) newPod(ctx context.Context, name string, ts *pipelinev1.TaskSpec, tr *pipelinev1.TaskRun, p *plan) (*pod, error) {
	tr.Status.PodName = fmt.Sprintf("%s-pod", tr.Name)
	attempt := tr.Name
	if n := len(tr.Status.RetriesStatus); n > 0 {
		tr.Status.PodName = fmt.Sprintf("%s-pod-retry%d", tr.Name, n)
		attempt = fmt.Sprintf("%s-retry%d", tr.Name, n)
	}
	pd := &pod{
		runner: r, plan: p, task: taskName(tr), tr: tr,
		dir: filepath.Join(r.Dir, "pods", attempt), logs: filepath.Join(r.Dir, "logs", attempt),
	}
	if err := makeFolders(pd.logs); err != nil {
		return nil, err
	}
	ts = declared(ts, tr.Spec.Workspaces)
	var err error
	if pd.mounts, err = r.folders(pd.dir, ts, tr.Spec.Workspaces); err != nil {
		return nil, err
	}
	pd.spec = inContainerSpec(ctx, name, ts, tr)
	if err := pipelinev1.ValidateUsageOfDeclaredParameters(ctx, pd.spec.Steps, pd.spec.Params); err != nil {
		return nil, err
	}
	if err := pd.spec.Validate(ctx); err != nil {
		return nil, err
	}
	if pd.steps, err = merged(pd.spec); err != nil {
		return nil, err
	}
	if pd.host, err = merged(onHostSpec(ctx, name, ts, tr, pd.mounts)); err != nil {
		return nil, err
	}
	if pd.root, err = os.OpenRoot(pd.dir); err != nil {
		return nil, err
	}
	tr.Status.TaskSpec = pd.spec
	for _, s := range pd.steps {
		pd.state = append(pd.state, corev1.ContainerStatus{
			Name: s.Name, ImageID: s.Image, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}},
		})
	}
	return pd, nil
}

// report makes the TaskRun's status with Tekton's own rules from what a pod
// would show.
func (p *pod) report(ctx context.Context, cause error, ts *pipelinev1.TaskSpec) error {
	if cause != nil {
		p.terminateRest(cause)
	}
	made := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.tr.Status.PodName, Namespace: p.tr.Namespace}}
	made.Status.ContainerStatuses, made.Status.Phase = p.state, corev1.PodSucceeded
	for _, s := range p.state {
		made.Spec.Containers = append(made.Spec.Containers, corev1.Container{Name: s.Name})
		if t := s.State.Terminated; t == nil || t.ExitCode != 0 {
			made.Status.Phase = corev1.PodFailed
		}
	}
	status, err := podconvert.MakeTaskRunStatus(ctx, zap.NewNop().Sugar(), *p.tr, made, nil, ts)
	p.tr.Status = status
	if cause != nil {
		p.stopped(ctx, cause)
		return nil
	}
	return errors.Join(err, validateResults(p.tr, ts))
}

// terminateRest ends the steps that were running or waiting, as deleting the
// pod does.
func (p *pod) terminateRest(cause error) {
	now := metav1.NewTime(time.Now())
	for i := range p.state {
		state := &p.state[i].State
		if state.Terminated != nil {
			continue
		}
		started := now
		if state.Running != nil {
			started = state.Running.StartedAt
		}
		*state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 1, Reason: stopReason(cause).String(), StartedAt: started, FinishedAt: now,
		}}
	}
}

func stopReason(cause error) pipelinev1.TaskRunReason {
	if errors.Is(cause, errTaskTimeout) {
		return pipelinev1.TaskRunReasonTimedOut
	}
	return pipelinev1.TaskRunReasonCancelled
}

// stopped sets the state of a TaskRun that its timeout or somebody ended. It has
// no results: Tekton takes them over once a TaskRun is done, and then the pod is
// gone.
func (p *pod) stopped(ctx context.Context, cause error) {
	reason := stopReason(cause)
	message := fmt.Sprintf("TaskRun %q failed to finish within %q", p.tr.Name, p.tr.GetTimeout(ctx))
	if reason == pipelinev1.TaskRunReasonCancelled {
		p.tr.Spec.Status = pipelinev1.TaskRunSpecStatusCancelled
		var c *cancelled
		if errors.As(cause, &c) {
			p.tr.Spec.StatusMessage = pipelinev1.TaskRunSpecStatusMessage(c.message)
		}
		message = fmt.Sprintf("TaskRun %q was cancelled. %s", p.tr.Name, p.tr.Spec.StatusMessage)
	}
	for i := range p.tr.Status.Steps {
		if t := p.tr.Status.Steps[i].Terminated; t != nil && t.Reason == reason.String() {
			p.tr.Status.Steps[i].TerminationReason = reason.String()
		}
	}
	p.tr.Status.Results = nil
	finish(p.tr, reason, errors.New(message))
}
