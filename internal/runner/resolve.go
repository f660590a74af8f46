package runner

import (
	"context"
	"fmt"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelinev1beta1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	clientv1beta1 "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/typed/pipeline/v1beta1"
	"github.com/tektoncd/pipeline/pkg/reconciler/taskrun/resources"
	"github.com/tektoncd/pipeline/pkg/trustedresources"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// resolve returns the Task that a TaskRun refers to or holds, with its
// StepActions put in.
func (r *Runner) resolve(ctx context.Context, tr *pipelinev1.TaskRun) (name string, ts *pipelinev1.TaskSpec, err error) {
	meta, ts, err := resources.GetTaskData(ctx, tr, r.Catalog.task)
	if err != nil {
		return "", nil, err
	}
	ts = ts.DeepCopy()
	if ts.Steps, err = resources.GetStepActionsData(ctx, *ts, tr, stepActionClient{catalog: r.Catalog}, nil, nil); err != nil {
		return "", nil, err
	}
	return meta.Name, ts, nil
}

// applyParams fills in what the TaskRun says and the Task's defaults.
func applyParams(ts *pipelinev1.TaskSpec, tr *pipelinev1.TaskRun) *pipelinev1.TaskSpec {
	return resources.ApplyParameters(ts.DeepCopy(), tr, ts.Params...)
}

// task is Tekton's resources.GetTask over a catalog.
func (c *Catalog) task(_ context.Context, name string) (*pipelinev1.Task, *pipelinev1.RefSource, *trustedresources.VerificationResult, error) {
	t, ok := c.tasks[name]
	if !ok {
		return nil, nil, nil, notFound("tasks", name)
	}
	return t.DeepCopy(), nil, nil, nil
}

// pipeline is Tekton's pipelinespec.GetPipeline over a catalog.
func (c *Catalog) pipeline(_ context.Context, name string) (*pipelinev1.Pipeline, *pipelinev1.RefSource, *trustedresources.VerificationResult, error) {
	p, ok := c.pipelines[name]
	if !ok {
		return nil, nil, nil, notFound("pipelines", name)
	}
	return p.DeepCopy(), nil, nil, nil
}

func notFound(resource, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Group: "tekton.dev", Resource: resource}, name)
}

// stepActionClient is as much of Tekton's client as its resolution of
// StepActions calls: Get. Everything else is nil.
type stepActionClient struct {
	versioned.Interface
	catalog *Catalog
}

func (c stepActionClient) TektonV1beta1() clientv1beta1.TektonV1beta1Interface {
	return stepActionGetter{catalog: c.catalog}
}

type stepActionGetter struct {
	clientv1beta1.TektonV1beta1Interface
	catalog *Catalog
}

func (g stepActionGetter) StepActions(string) clientv1beta1.StepActionInterface {
	return stepActionStore{catalog: g.catalog}
}

type stepActionStore struct {
	clientv1beta1.StepActionInterface
	catalog *Catalog
}

func (s stepActionStore) Get(_ context.Context, name string, _ metav1.GetOptions) (*pipelinev1beta1.StepAction, error) {
	a, ok := s.catalog.stepActions[name]
	if !ok {
		return nil, fmt.Errorf("step action: %w", notFound("stepactions", name))
	}
	return a.DeepCopy(), nil
}
