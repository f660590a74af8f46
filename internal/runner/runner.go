// Package runner runs Tekton Pipelines, Tasks and StepActions on this machine.
// What they mean is decided by Tekton's own packages: decoding, defaults,
// validation, substitution, when, order, finally, matrix, retries, timeouts,
// results and the final state. What is ours is where Tekton has a cluster: a
// step is a program, a container or a command on this machine instead of a
// container in a pod, a workspace is a folder, and there is no API server
// between the parts.
//
// A run that needs what cannot be had here (sidecars, volumes, remote
// resolvers) is refused before anything starts, naming the field.
package runner

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Namespace is what $(context.*.namespace) says here, where there is none.
const Namespace = "default"

// Runner runs what its catalog holds.
type Runner struct {
	// Catalog holds the objects that a run refers to by name.
	Catalog *Catalog
	// Dir is the folder of this run: logs/<taskrun>/<step>.log, and pods/ and
	// claims/ while it runs. It must exist.
	Dir string
	// Folders are the workspaces that the caller binds to folders of this
	// machine, by name. They stand in front of the run's own bindings.
	Folders map[string]string
	// Programs builds steps whose image is ko://<import path>.
	Programs *Programs
	// Engine runs steps with another image in containers. Nil: there is none.
	Engine *Engine
	// AllowHost lets steps with another image run their command on this machine,
	// with the rights of whoever runs this, where there is no Engine.
	AllowHost bool
	// Environment is added to that of every step, as NAME=value.
	Environment []string
	// Credentials is a folder with .git-credentials, .gitconfig and .ssh as
	// Tekton lays them out; each step finds a copy under $(credentials.path).
	Credentials string
	// Watch hears what happens, from several goroutines. It may be nil.
	Watch func(Event)
	// Stderr is where the runner itself says what a user should know, such as
	// that programs are being built.
	Stderr io.Writer
}

// Outcome is how a run ended: one of the two objects as Tekton would have left
// it, and the TaskRuns of a PipelineRun by name.
type Outcome struct {
	PipelineRun *pipelinev1.PipelineRun        `json:"pipelineRun,omitempty"`
	TaskRuns    map[string]*pipelinev1.TaskRun `json:"taskRuns,omitempty"`
	Images      map[string]string              `json:"images,omitempty"` // how each image of the run was run
}

// Run runs o, which is a PipelineRun or TaskRun of the catalog, or one made by
// Catalog.Runnable. An error says that it did not start; how it ended is in the
// outcome.
func (r *Runner) Run(ctx context.Context, o metav1.Object) (outcome *Outcome, err error) {
	Identify(o, "")
	defer r.cleanUp()
	defer r.recovered(&err)
	switch o := o.(type) {
	case *pipelinev1.PipelineRun:
		outcome, err = r.runPipeline(ctx, o)
	case *pipelinev1.TaskRun:
		outcome, err = r.runAlone(ctx, o)
	default:
		return nil, fmt.Errorf("%T cannot be run", o)
	}
	unmaskAll(outcome)
	return outcome, err
}

// recovered makes an error of a panic. Tekton's functions panic where a run holds
// what they do not expect, and this process may have other runs under way.
func (r *Runner) recovered(err *error) {
	v := recover()
	if v == nil {
		return
	}
	*err = fmt.Errorf("internal error: %v", v)
	if r.Stderr != nil {
		fmt.Fprintf(r.Stderr, "%v\n%s", *err, debug.Stack())
	}
}

// runAlone runs a TaskRun that belongs to no Pipeline.
func (r *Runner) runAlone(ctx context.Context, tr *pipelinev1.TaskRun) (*Outcome, error) {
	p := &plan{runner: r}
	tr = tr.DeepCopy()
	tr.Spec.Params = maskParams(tr.Spec.Params)
	p.addTaskRun(ctx, tr)
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	done := r.runTask(ctx, tr, p)
	return &Outcome{TaskRuns: map[string]*pipelinev1.TaskRun{done.Name: done}, Images: p.images()}, nil
}

// Identify gives a run what the API server would, a name among it unless it is
// given one here.
func Identify(o metav1.Object, name string) {
	if name != "" {
		o.SetName(name)
	}
	if o.GetName() == "" {
		o.SetName(strings.TrimSuffix(o.GetGenerateName(), "-") + "-" + rand.String(5))
	}
	if o.GetNamespace() == "" {
		o.SetNamespace(Namespace)
	}
	if o.GetUID() == "" {
		o.SetUID(types.UID(uuid.NewUUID()))
	}
	if created := o.GetCreationTimestamp(); created.IsZero() {
		o.SetCreationTimestamp(metav1.NewTime(time.Now()))
	}
	if o.GetLabels() == nil {
		o.SetLabels(map[string]string{})
	}
}

func kindOf(o metav1.Object) string {
	if _, ok := o.(*pipelinev1.PipelineRun); ok {
		return "PipelineRun"
	}
	return "TaskRun"
}

// cleanUp removes what only the run itself needed: pods, with their copies of
// credentials, and the volumes of claims.
func (r *Runner) cleanUp() {
	for _, name := range []string{"pods", "claims"} {
		if err := remove(filepath.Join(r.Dir, name)); err != nil && r.Stderr != nil {
			fmt.Fprintf(r.Stderr, "left behind: %v\n", err)
		}
	}
}

// remove is os.RemoveAll also for folders that nobody may write to, as the go
// command makes them for modules.
func remove(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // it is about to go
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// tell passes an event on.
func (r *Runner) tell(e Event) {
	e.Time, e.Reason, e.Message = time.Now(), unmask(e.Reason), unmask(e.Message)
	if r.Watch != nil {
		r.Watch(e)
	}
}

// refusal is the error for what cannot be run here: every reason at once.
func refusal(what string, reasons []string) error {
	slices.Sort(reasons)
	return fault.Refused("NotSupportedHere", fmt.Errorf("%s cannot run on this machine:\n  %s", what, unmask(strings.Join(slices.Compact(reasons), "\n  "))),
		"nothing was started; a cluster with Tekton can run it")
}
