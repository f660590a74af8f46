package site

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// pipelineRun is one as far as this package looks at it.
type pipelineRun struct {
	Metadata struct {
		Name, Namespace   string
		CreationTimestamp time.Time
		Annotations       map[string]string
	}
	Status struct {
		Conditions     []condition
		CompletionTime time.Time
		Results        []struct {
			Name  string
			Value any
		}
	}
}

// condition of a run.
type condition struct{ Type, Status, Reason, Message string }

func (p pipelineRun) run() Run {
	r := Run{
		Namespace: p.Metadata.Namespace, Name: p.Metadata.Name, Commit: p.Metadata.Annotations["lockstep.dev/commit"],
		Created: p.Metadata.CreationTimestamp, Why: "no state yet", results: map[string]string{},
	}
	for _, c := range p.Status.Conditions {
		if c.Type != "Succeeded" {
			continue
		}
		r.Well, r.Why = c.Status == "True", c.Reason+": "+c.Message
		if c.Status != "Unknown" {
			r.Ended, r.Completed = true, p.Status.CompletionTime
		}
	}
	for _, result := range p.Status.Results {
		r.results[result.Name] = fmt.Sprint(result.Value)
	}
	return r
}

// Runs lists the runs of a namespace, oldest first.
func (s *Site) Runs(ctx context.Context, namespace string) ([]Run, error) {
	var list struct{ Items []pipelineRun }
	if err := s.Get(ctx, &list, "pipelineruns", "-n", namespace); err != nil {
		return nil, err
	}
	runs := make([]Run, len(list.Items))
	for i, p := range list.Items {
		runs[i] = p.run()
	}
	slices.SortStableFunc(runs, func(a, b Run) int { return a.Created.Compare(b.Created) })
	return runs, nil
}

func (s *Site) runsIn(namespace string) func(context.Context) ([]Run, error) {
	return func(ctx context.Context) ([]Run, error) { return s.Runs(ctx, namespace) }
}

// RunOf waits for the run that a commit starts.
func (s *Site) RunOf(ctx context.Context, namespace, commit string) (Run, error) {
	return runOf(ctx, fmt.Sprintf("a run of commit %.12s in %s", commit, namespace), commit, s.runsIn(namespace))
}

// Settled waits until an environment was deployed at least once and none of its
// runs is under way, and returns the newest run.
func (s *Site) Settled(ctx context.Context, e Environment) (Run, error) {
	return settled(ctx, "the runs in "+e.RunNamespace(), s.runsIn(e.RunNamespace()))
}

// Finish waits for the end of a run and tells each step as it starts and ends.
func (s *Site) Finish(ctx context.Context, r Run, tell func(Step)) (Run, error) {
	told := map[string]bool{}
	err := Until(ctx, "the end of run "+r.Namespace+"/"+r.Name, func(ctx context.Context) (bool, error) {
		var now pipelineRun
		if err := s.Get(ctx, &now, "pipelinerun", r.Name, "-n", r.Namespace); err != nil {
			return false, err
		}
		if err := s.tellSteps(ctx, r, told, tell); err != nil {
			return false, err
		}
		r = now.run()
		return r.Ended, nil
	})
	return r, err
}

type taskRuns struct{ Items []taskRun }

type taskRun struct {
	Metadata struct {
		Name              string
		Labels            map[string]string
		CreationTimestamp time.Time
	}
	Status struct {
		PodName    string
		Conditions []condition
		Results    []struct {
			Name  string
			Value any
		}
		Steps []struct {
			Name, Container string
			Running         *struct{}
			Terminated      *struct {
				ExitCode              int
				StartedAt, FinishedAt time.Time
			}
		}
	}
}

func (s *Site) tellSteps(ctx context.Context, r Run, told map[string]bool, tell func(Step)) error {
	if tell == nil {
		return nil
	}
	var list taskRuns
	if err := s.Get(ctx, &list, "taskruns", "-n", r.Namespace, "-l", "tekton.dev/pipelineRun="+r.Name); err != nil {
		return err
	}
	slices.SortStableFunc(list.Items, func(a, b taskRun) int { return a.Metadata.CreationTimestamp.Compare(b.Metadata.CreationTimestamp) })
	for _, t := range list.Items {
		for _, st := range t.Status.Steps {
			step := Step{Task: t.Metadata.Labels["tekton.dev/pipelineTask"], Name: st.Name, Ended: st.Terminated != nil}
			if st.Running == nil && st.Terminated == nil {
				continue
			}
			key := fmt.Sprint(t.Metadata.Name, "/", st.Name, step.Ended)
			if told[key] {
				continue
			}
			told[key] = true
			if step.Ended {
				step.Took, step.Well = st.Terminated.FinishedAt.Sub(st.Terminated.StartedAt), st.Terminated.ExitCode == 0
			}
			tell(step)
		}
	}
	return nil
}

// Logs returns what the steps of a run printed, for the error of a run that
// failed.
func (s *Site) Logs(ctx context.Context, r Run) string {
	var list taskRuns
	if err := s.Get(ctx, &list, "taskruns", "-n", r.Namespace, "-l", "tekton.dev/pipelineRun="+r.Name); err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, t := range list.Items {
		for _, c := range t.Status.Conditions {
			fmt.Fprintf(&b, "--- %s: %s: %s\n", t.Metadata.Name, c.Reason, c.Message)
		}
		for _, st := range t.Status.Steps {
			out, err := s.Kubectl(ctx, "logs", "-n", r.Namespace, t.Status.PodName, "-c", st.Container, "--tail=40")
			fmt.Fprintf(&b, "--- %s, step %s\n%s", t.Metadata.Name, st.Name, out)
			if err != nil {
				fmt.Fprintf(&b, "(no log: %v)\n", err)
			}
		}
	}
	return b.String()
}
