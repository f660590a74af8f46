package runner

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/reconciler/taskrun/resources"
)

// how a step runs.
type how int

const (
	asProgram   how = iota + 1 // built from source
	inContainer                // by podman or docker
	onHost                     // its command, on this machine
)

func (h how) String() string {
	return [...]string{"unknown", "program", "container", "host"}[h]
}

// plan decides how each image of a run is run, and refuses the run where one
// cannot be, before anything starts.
type plan struct {
	runner  *Runner
	reasons []string
	mu      sync.Mutex
	decided map[string]how
}

// addTaskRun looks at everything that a TaskRun needs. Where the run itself
// would fail to find its Task, it does so as on a cluster.
func (p *plan) addTaskRun(ctx context.Context, tr *pipelinev1.TaskRun) {
	if tr.Spec.TaskRef != nil && tr.Spec.TaskRef.Resolver != "" {
		p.reasons = append(p.reasons, "spec.taskRef.resolver: remote Tasks are not fetched")
		return
	}
	for _, b := range tr.Spec.Workspaces {
		p.reasons = append(p.reasons, unsupportedBinding("spec.workspaces["+b.Name+"]", b)...)
	}
	if tr.Spec.Debug != nil {
		p.reasons = append(p.reasons, "spec.debug: there are no breakpoints")
	}
	if reasons := p.remoteSteps(ctx, tr); len(reasons) > 0 {
		p.reasons = append(p.reasons, reasons...)
		return
	}
	if name, ts, err := p.runner.resolve(ctx, tr.DeepCopy()); err == nil {
		p.addSpec("task "+name, applyParams(ts, tr))
	}
}

// remoteSteps names the steps whose StepAction would have to be fetched: with
// one of them the Task's steps cannot be known.
func (p *plan) remoteSteps(ctx context.Context, tr *pipelinev1.TaskRun) []string {
	meta, ts, err := resources.GetTaskData(ctx, tr.DeepCopy(), p.runner.Catalog.task)
	if err != nil {
		return nil // the run itself fails with it, as on a cluster
	}
	return unsupportedRefs("task "+meta.Name, ts)
}

// addSpec looks at the steps of a Task whose parameters are filled in as far as
// they are known.
func (p *plan) addSpec(where string, ts *pipelinev1.TaskSpec) {
	p.reasons = append(p.reasons, unsupported(where, ts)...)
	for i, s := range ts.Steps {
		if ts.StepTemplate != nil && s.Image == "" {
			s.Image = ts.StepTemplate.Image
		}
		if ts.StepTemplate != nil && len(s.Command) == 0 {
			s.Command = ts.StepTemplate.Command
		}
		if strings.Contains(s.Image, "$(") {
			continue // a result of another task decides
		}
		if _, err := p.decide(fmt.Sprintf("%s.steps[%d]", where, i), s); err != nil {
			p.reasons = append(p.reasons, err.Error())
		}
	}
}

// decide says how a step runs, or why it cannot.
func (p *plan) decide(where string, s pipelinev1.Step) (how, error) {
	h, err := p.choose(where, s)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.decided == nil {
		p.decided = map[string]how{}
	}
	p.decided[s.Image] = h
	return h, nil
}

func (p *plan) choose(where string, s pipelinev1.Step) (how, error) {
	if pkg, ok := programOf(s.Image); ok {
		if len(s.Command) > 0 && s.Command[0] != "/ko-app/"+path.Base(pkg) || s.Script != "" {
			return 0, fmt.Errorf("%s: the image %s holds the program /ko-app/%s and nothing else", where, s.Image, path.Base(pkg))
		}
		if p.runner.Programs == nil {
			return 0, fmt.Errorf("%s.image: %s is built from source, and there is no Go module here", where, s.Image)
		}
		return asProgram, nil
	}
	if p.runner.Engine != nil {
		return inContainer, nil
	}
	if !p.runner.AllowHost {
		return 0, fmt.Errorf("%s.image: %s needs podman or docker, which is not here; --allow-host runs its command on this machine instead, with your rights", where, s.Image)
	}
	if _, known := defaultCommand(s.Image, s.Args); !known && len(s.Command) == 0 && s.Script == "" {
		return 0, fmt.Errorf("%s.command: what the image %s runs by itself is not known without podman or docker", where, s.Image)
	}
	return onHost, nil
}

// prepare refuses the run, or builds what it needs.
func (p *plan) prepare(ctx context.Context) error {
	if len(p.reasons) > 0 {
		return refusal("this run", p.reasons)
	}
	var packages []string
	for image, h := range p.decided {
		if pkg, _ := programOf(image); h == asProgram {
			packages = append(packages, pkg)
		}
	}
	if len(packages) == 0 {
		return nil
	}
	slices.Sort(packages)
	return p.runner.Programs.Build(ctx, p.runner.Stderr, packages...)
}

// images says how each image was run, for the record of the run.
func (p *plan) images() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	images := map[string]string{}
	for image, h := range p.decided {
		images[unmask(image)] = h.String()
	}
	return images
}

func taskName(tr *pipelinev1.TaskRun) string {
	if name := tr.Labels["tekton.dev/pipelineTask"]; name != "" {
		return name
	}
	return tr.Name
}
