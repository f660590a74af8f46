package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/result"
	"github.com/tektoncd/pipeline/pkg/termination"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pod runs the steps of one attempt of a TaskRun, one after the other, and keeps
// what the kubelet and Tekton's entrypoint would report of them: Tekton makes
// the TaskRun's status from that.
type pod struct {
	runner *Runner
	plan   *plan
	task   string
	tr     *pipelinev1.TaskRun
	dir    string
	// root is dir for what this process reads and writes there besides: a step
	// may have left links in it that lead elsewhere.
	root   *os.Root
	logs   string
	mounts mounts
	spec   *pipelinev1.TaskSpec // results and steps, as in a container
	steps  []pipelinev1.Step    // as in a container
	host   []pipelinev1.Step    // as outside of one
	state  []corev1.ContainerStatus
}

// invocation is a step with everything filled in.
type invocation struct {
	image         string
	command, args []string
	env           []string
	path          string // PATH of env
	dir           string
	mounts        mounts
}

// entrypoint's words for how a step ended, in its termination message.
const (
	reasonSkipped = "Skipped"
	reasonTimeout = "TimeoutExceeded"
)

// run returns the cause when ctx ended before the last step did.
func (p *pod) run(ctx context.Context) error {
	failed := false
	for i := range p.steps {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if failed {
			// Tekton's entrypoint ends with 1 when the step before it failed.
			p.end(i, 1, nil, reasonSkipped)
			continue
		}
		var err error
		if failed, err = p.step(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// step runs one step and says whether the next ones are skipped.
func (p *pod) step(ctx context.Context, i int) (failed bool, err error) {
	s, started := p.steps[i], metav1.NewTime(time.Now())
	name := strings.TrimPrefix(s.Name, "step-")
	logPath := filepath.Join(p.logs, name+".log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return true, fmt.Errorf("step %s: %w", name, err)
	}
	defer log.Close()
	event := Event{Kind: StepStarted, Task: p.task, TaskRun: p.tr.Name, Step: name, Log: logPath}
	p.runner.tell(event)
	p.state[i].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}

	code, reason, continued, err := p.attempt(ctx, i, log)
	if err != nil {
		return true, err // ctx ended: the TaskRun says how
	}
	var ignored *int
	if continued {
		ignored, code = new(code), 0
	}
	message := p.end(i, code, ignored, reason)
	if message != "" {
		note(log, message) // as Tekton's entrypoint does
	}
	event.Kind, event.Well, event.Reason, event.Message = StepEnded, p.state[i].State.Terminated.ExitCode == 0 && reason == "", reason, message
	if continued {
		event.Reason = "Continued"
	}
	if full(p.runner.Dir) && !event.Well {
		// What the step said of it may have found no room in its log.
		event.Reason, event.Message = "DiskFull", fmt.Sprintf("%s: %s", p.runner.Dir, syscall.ENOSPC)
	}
	p.runner.tell(event)
	// One whose results were refused has failed, and the next one runs all the
	// same: Tekton's entrypoint says that it may before it reads the results.
	return code != 0, nil
}

// full says whether a disk has no room left.
func full(dir string) bool {
	var s syscall.Statfs_t
	return syscall.Statfs(dir, &s) == nil && s.Bavail == 0
}

// attempt runs the step's program. continued says that it failed and that this
// is to be ignored.
func (p *pod) attempt(ctx context.Context, i int, log *os.File) (code int, reason string, continued bool, err error) {
	results := stepResults{p.root}
	s := p.steps[i]
	if err := p.makeStepFolders(i, s.Name); err != nil {
		note(log, err)
		return 1, "", false, nil
	}
	allowed, err := results.allows(s.When)
	if err != nil {
		note(log, "when:", err)
		return 1, "", false, nil
	}
	if !allowed {
		fmt.Fprintln(log, "skipped: its when expressions are false")
		p.writeExitCode(s.Name, 0)
		return 0, reasonSkipped, false, nil
	}
	runErr := p.start(ctx, i, results, log)
	var exited *exec.ExitError
	switch {
	case runErr == nil:
		p.writeExitCode(s.Name, 0)
		return 0, "", false, nil
	case ctx.Err() != nil:
		return 0, "", false, context.Cause(ctx)
	case errors.Is(runErr, errStepTimeout):
		fmt.Fprintf(log, "stopped: the step took longer than its timeout of %s\n", s.Timeout.Duration)
		return 1, reasonTimeout, false, nil
	case errors.As(runErr, &exited):
		if s.OnError == pipelinev1.Continue {
			p.writeExitCode(s.Name, exited.ExitCode())
			return exited.ExitCode(), "", true, nil
		}
		return exitCode(exited), "", false, nil
	}
	note(log, runErr)
	return 1, "", false, nil
}

// note writes a line of this program's own into a step's log.
func note(log io.Writer, words ...any) { fmt.Fprint(log, unmask(fmt.Sprintln(words...))) }

// makeStepFolders makes where a step leaves results and artifacts. Tekton has
// each step's folder under its number as well.
func (p *pod) makeStepFolders(i int, container string) error {
	return errors.Join(
		p.root.MkdirAll(filepath.Join(stepsFolder, container, "results"), 0o755),
		p.root.MkdirAll(filepath.Join(stepsFolder, container, "artifacts"), 0o755),
		p.root.Symlink(container, filepath.Join(stepsFolder, strconv.Itoa(i))))
}

// exitCode is 255 for a program that a signal ended, as Tekton's entrypoint
// ends then. (What it notes of a failure that is ignored is -1.)
func exitCode(e *exec.ExitError) int {
	if code := e.ExitCode(); code >= 0 {
		return code
	}
	return 255
}

// start runs the step in the way that the plan says.
func (p *pod) start(ctx context.Context, i int, results stepResults, log *os.File) error {
	where := "task " + p.task + ".steps[" + strconv.Itoa(i) + "]"
	h, err := p.plan.decide(where, p.steps[i])
	if err != nil {
		return err
	}
	s := p.host[i]
	if h == inContainer {
		s = p.steps[i]
	}
	call, err := p.invocation(i, s, h, results)
	if err != nil {
		return err
	}
	cmd, cleanUp, err := p.command(ctx, call, h)
	if err != nil {
		return err
	}
	defer cleanUp()
	var timeout time.Duration
	if s.Timeout != nil {
		timeout = s.Timeout.Duration
	}
	return runProcess(ctx, cmd, log, timeout)
}

// command is the process of an invocation.
func (p *pod) command(ctx context.Context, call invocation, h how) (cmd *exec.Cmd, cleanUp func(), err error) {
	switch h {
	case inContainer:
		name := "lockstep-" + string(p.tr.UID)
		cmd, err := p.runner.Engine.command(name, p.dir, call)
		return cmd, func() { p.runner.Engine.remove(name) }, err
	case asProgram:
		pkg, _ := programOf(call.image)
		if err := p.runner.Programs.Build(ctx, p.runner.Stderr, pkg); err != nil {
			return nil, nil, err
		}
		words := call.args
		if len(call.command) > 1 {
			words = append(call.command[1:], call.args...)
		}
		cmd = exec.Command(p.runner.Programs.path(pkg), words...)
	default:
		words := append(append([]string{}, call.command...), call.args...)
		cmd = exec.Command(program(words[0], call.path), words[1:]...)
	}
	cmd.Env, cmd.Dir = call.env, call.dir
	return cmd, func() {}, nil
}

// end notes how a step ended, with what it left as results, and returns what
// people should know besides.
func (p *pod) end(i, code int, ignored *int, reason string) (message string) {
	now := metav1.NewTime(time.Now())
	started := now
	if running := p.state[i].State.Running; running != nil {
		started = running.StartedAt
	}
	terminated := &corev1.ContainerStateTerminated{ExitCode: int32(code), Reason: "Completed", StartedAt: started, FinishedAt: now} //nolint:gosec // an exit code has eight bits
	text, err := p.terminationMessage(i, started, ignored, reason)
	if err != nil {
		terminated.ExitCode, message = 1, err.Error()
	}
	if terminated.ExitCode != 0 {
		terminated.Reason = "Error"
	}
	terminated.Message = text
	p.state[i].State = corev1.ContainerState{Terminated: terminated}
	return message
}

// terminationMessage is what Tekton's entrypoint would write for this step: its
// results and the Task's so far, within the same limit, and how it ended. With
// an error it is what the entrypoint could still write. A step that did not run
// hands on nothing.
func (p *pod) terminationMessage(i int, started metav1.Time, ignored *int, reason string) (string, error) {
	var m message
	var err error
	if reason != reasonSkipped {
		err = p.addResults(&m, i)
	}
	err = errors.Join(err, m.add(ending(started, ignored, reason)))
	return m.text, err
}

// addResults adds the Task's results and those of the step.
func (p *pod) addResults(m *message, i int) error {
	var names []string
	for _, r := range p.spec.Results {
		if r.Value == nil {
			names = append(names, r.Name)
		}
	}
	task, err := readResults(p.root, filepath.Join("tekton", "results"), names, result.TaskRunResultType)
	if err != nil {
		return err
	}
	if err := m.add(task); err != nil {
		return err
	}
	names = nil
	for _, r := range p.steps[i].Results {
		names = append(names, r.Name)
	}
	own, err := readResults(p.root, filepath.Join(stepsFolder, p.steps[i].Name, "results"), names, result.StepResultType)
	if err != nil {
		return err
	}
	return m.add(own)
}

// message is a termination message. Tekton's own writer of them waits for the
// disk each time.
type message struct {
	noted []result.RunResult
	text  string
}

// add leaves the message as it is where it would become longer than a container
// may leave one.
func (m *message) add(more []result.RunResult) error {
	noted := append(slices.Clone(m.noted), more...)
	text, err := json.Marshal(noted)
	if err != nil {
		return err
	}
	if limit := termination.MaxContainerTerminationMessageLength; len(text) > limit {
		return fmt.Errorf("the results take %d bytes, and a container of a pod may leave %d", len(text), limit)
	}
	m.noted, m.text = noted, string(text)
	return nil
}

// ending is what the entrypoint notes of how a step ended.
func ending(started metav1.Time, ignored *int, reason string) []result.RunResult {
	internal := func(key, value string) result.RunResult {
		return result.RunResult{Key: key, Value: value, ResultType: result.InternalTektonResultType}
	}
	noted := []result.RunResult{internal("StartedAt", started.Format("2006-01-02T15:04:05.000Z07:00"))}
	if ignored != nil {
		noted = append(noted, internal("ExitCode", strconv.Itoa(*ignored)))
	}
	if reason != "" {
		noted = append(noted, internal("Reason", reason))
	}
	return noted
}

func readResults(pod *os.Root, dir string, names []string, kind result.ResultType) ([]result.RunResult, error) {
	var found []result.RunResult
	root, err := pod.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, name := range names {
		content, err := root.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("result %s: %w", name, err)
		}
		found = append(found, result.RunResult{Key: name, Value: string(content), ResultType: kind})
	}
	return found, nil
}

func (p *pod) writeExitCode(container string, code int) {
	// A later step that reads a missing file says so itself.
	_ = p.root.WriteFile(filepath.Join(stepsFolder, container, "exitCode"), []byte(strconv.Itoa(code)), 0o644)
}
