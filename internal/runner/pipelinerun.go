package runner

import (
	"context"
	"fmt"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/reconciler/pipeline/dag"
	"github.com/tektoncd/pipeline/pkg/reconciler/pipelinerun/pipelinespec"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"knative.dev/pkg/apis"
)

// pipelineRun is a PipelineRun under way. One goroutine owns it; each task runs
// in one of its own and is heard of through ended.
type pipelineRun struct {
	runner *Runner
	plan   *plan
	pr     *pipelinev1.PipelineRun
	name   string // of the Pipeline
	spec   *pipelinev1.PipelineSpec
	dag    *dag.Graph
	final  *dag.Graph
	clock  clock.PassiveClock

	taskRuns map[string]*pipelinev1.TaskRun
	running  map[string]context.CancelCauseFunc
	ended    chan *pipelinev1.TaskRun
	skipped  map[string]bool // told already
}

// runPipeline runs a PipelineRun to its end, or until ctx ends it.
func (r *Runner) runPipeline(ctx context.Context, pr *pipelinev1.PipelineRun) (*Outcome, error) {
	p := &pipelineRun{
		runner: r, plan: &plan{runner: r}, pr: pr.DeepCopy(), clock: clock.RealClock{},
		taskRuns: map[string]*pipelinev1.TaskRun{}, running: map[string]context.CancelCauseFunc{},
		ended: make(chan *pipelinev1.TaskRun), skipped: map[string]bool{},
	}
	p.pr.SetDefaults(ctx)
	p.pr.Spec.Params = maskParams(p.pr.Spec.Params)
	if err := p.check(ctx); err != nil {
		return nil, err
	}
	p.pr.Status.InitializeConditions(p.clock)
	if err := p.resolve(ctx); err == nil {
		var names []string
		for _, pt := range append(append([]pipelinev1.PipelineTask{}, p.spec.Tasks...), p.spec.Finally...) {
			names = append(names, pt.Name)
		}
		r.tell(Event{Kind: RunStarted, Tasks: names})
		p.follow(ctx)
	}
	if p.pr.Status.CompletionTime == nil {
		p.pr.Status.CompletionTime = &metav1.Time{Time: p.clock.Now()}
	}
	return &Outcome{PipelineRun: p.pr, TaskRuns: p.taskRuns, Images: p.plan.images()}, nil
}

// check refuses what cannot run here, before anything starts.
func (p *pipelineRun) check(ctx context.Context) error {
	if ref := p.pr.Spec.PipelineRef; ref != nil && ref.Resolver != "" {
		return refusal("this run", []string{"spec.pipelineRef.resolver: remote Pipelines are not fetched"})
	}
	for _, b := range p.pr.Spec.Workspaces {
		p.plan.reasons = append(p.plan.reasons, unsupportedBinding("spec.workspaces["+b.Name+"]", b)...)
	}
	_, spec, err := pipelinespec.GetPipelineData(ctx, p.pr, p.runner.Catalog.pipeline)
	if err != nil {
		return nil //nolint:nilerr // the run itself fails with it, as on a cluster
	}
	spec = spec.DeepCopy()
	// Images may come from parameters; what cannot be filled in yet is looked at
	// when its task starts.
	if filled, err := p.fill(spec); err == nil {
		spec = filled
	}
	for _, pt := range append(append([]pipelinev1.PipelineTask{}, spec.Tasks...), spec.Finally...) {
		where := "pipeline task " + pt.Name
		if reasons := unsupportedTask(where, pt); len(reasons) > 0 {
			p.plan.reasons = append(p.plan.reasons, reasons...)
			continue
		}
		tr := &pipelinev1.TaskRun{ObjectMeta: metav1.ObjectMeta{Name: pt.Name, Namespace: Namespace, Labels: map[string]string{}}}
		tr.Spec.Params, tr.Spec.TaskRef = pt.Params, pt.TaskRef
		if pt.Matrix != nil {
			tr.Spec.Params = append(tr.Spec.Params, firstOf(pt.Matrix)...)
		}
		if pt.TaskSpec != nil {
			tr.Spec.TaskSpec = &pt.TaskSpec.TaskSpec
		}
		p.plan.addTaskRun(ctx, tr)
	}
	return p.plan.prepare(ctx)
}

// firstOf is one combination of a matrix, to look at the images with.
func firstOf(m *pipelinev1.Matrix) pipelinev1.Params {
	if combinations := m.FanOut(); len(combinations) > 0 {
		return combinations[0]
	}
	return nil
}

// follow starts what may start, hears what ended, and so on until the run is
// done and nothing is left running.
func (p *pipelineRun) follow(ctx context.Context) {
	stopping := ctx.Done()
	for {
		p.pass(ctx)
		if p.pr.IsDone() {
			p.stopAll(&cancelled{string(pipelinev1.TaskRunCancelledByPipelineTimeoutMsg)})
			if len(p.running) == 0 {
				return
			}
		}
		timer := time.NewTimer(p.untilTimeout(ctx))
		select {
		case tr := <-p.ended:
			p.taskRuns[tr.Name] = tr
			delete(p.running, tr.Name)
		case <-timer.C:
		case <-stopping:
			stopping = nil
			p.cancel()
		}
		timer.Stop()
	}
}

// cancel ends the run as `tkn pipelinerun cancel` does: no further task starts,
// not even those of finally.
func (p *pipelineRun) cancel() {
	p.pr.Spec.Status = pipelinev1.PipelineRunSpecStatusCancelled
	p.stopAll(&cancelled{string(pipelinev1.TaskRunCancelledByPipelineMsg)})
	p.pr.Status.SetCondition(&apis.Condition{
		Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Reason: pipelinev1.PipelineRunReasonCancelled.String(),
		Message: fmt.Sprintf("PipelineRun %q was cancelled", p.pr.Name),
	})
}

func (p *pipelineRun) stopAll(cause error) {
	for _, stop := range p.running {
		stop(cause)
	}
}

// start runs a TaskRun in a goroutine of its own.
func (p *pipelineRun) start(ctx context.Context, tr *pipelinev1.TaskRun) {
	// The run's own context says when to stop, not its tasks how.
	ctx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	p.taskRuns[tr.Name], p.running[tr.Name] = tr, stop
	go func() {
		done := p.runner.runTask(ctx, tr, p.plan)
		stop(nil)
		p.ended <- done
	}()
}

// untilTimeout is the time until the next of the run's timeouts.
func (p *pipelineRun) untilTimeout(ctx context.Context) time.Duration {
	next := time.Hour
	started := p.pr.Status.StartTime
	consider := func(from *metav1.Time, timeout time.Duration) {
		if from == nil || timeout <= 0 {
			return
		}
		// A little later than the moment itself, so that it has passed.
		if left := time.Until(from.Add(timeout)) + time.Millisecond; left > 0 && left < next {
			next = left
		}
	}
	consider(started, p.pr.PipelineTimeout(ctx))
	if t := p.pr.TasksTimeout(); t != nil && p.pr.Status.FinallyStartTime == nil {
		consider(started, t.Duration)
	}
	if t := p.pr.FinallyTimeout(); t != nil {
		consider(p.pr.Status.FinallyStartTime, t.Duration)
	}
	return next
}
