package site

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"
)

// Run is a PipelineRun as far as this package looks at it.
type Run struct {
	Metadata struct {
		Name, Namespace   string
		CreationTimestamp time.Time
		Labels            map[string]string
		Annotations       map[string]string
	}
	Status struct {
		Conditions                []Condition
		StartTime, CompletionTime time.Time
		Results                   []struct {
			Name  string
			Value any
		}
	}
}

// Condition of a run or a pod.
type Condition struct{ Type, Status, Reason, Message string }

// Result of the run, or "".
func (r Run) Result(name string) string {
	for _, result := range r.Status.Results {
		if result.Name == name {
			return fmt.Sprint(result.Value)
		}
	}
	return ""
}

// Finished says whether the run ended, and whether well.
func (r Run) Finished() (ended, well bool) {
	for _, c := range r.Status.Conditions {
		if c.Type == "Succeeded" && c.Status != "Unknown" {
			return true, c.Status == "True"
		}
	}
	return false, false
}

// Why is the reason and the message of the run's state.
func (r Run) Why() string {
	for _, c := range r.Status.Conditions {
		if c.Type == "Succeeded" {
			return c.Reason + ": " + c.Message
		}
	}
	return "no state yet"
}

// Runs lists the runs of a namespace, oldest first.
func (s *Site) Runs(ctx context.Context, namespace string) ([]Run, error) {
	var list struct{ Items []Run }
	if err := s.Get(ctx, &list, "pipelineruns", "-n", namespace); err != nil {
		return nil, err
	}
	sort.SliceStable(list.Items, func(i, j int) bool {
		return list.Items[i].Metadata.CreationTimestamp.Before(list.Items[j].Metadata.CreationTimestamp)
	})
	return list.Items, nil
}

// RunOf waits for the run that a commit starts.
func (s *Site) RunOf(ctx context.Context, namespace, commit string) (Run, error) {
	var found Run
	err := Until(ctx, fmt.Sprintf("a run of commit %.12s in %s", commit, namespace), func(ctx context.Context) (bool, error) {
		runs, err := s.Runs(ctx, namespace)
		for _, r := range runs {
			if r.Metadata.Annotations["lockstep.dev/commit"] == commit {
				found = r
				return true, nil
			}
		}
		return false, err
	})
	return found, err
}

// StepTold hears of each step of a run as it ends.
type StepTold func(task, step string, took time.Duration, well bool)

// Finish waits for the end of a run and tells each step as it ends.
func (s *Site) Finish(ctx context.Context, r Run, tell StepTold) (Run, error) {
	told := map[string]bool{}
	err := Until(ctx, "the end of run "+r.Metadata.Namespace+"/"+r.Metadata.Name, func(ctx context.Context) (bool, error) {
		var now Run
		if err := s.Get(ctx, &now, "pipelinerun", r.Metadata.Name, "-n", r.Metadata.Namespace); err != nil {
			return false, err
		}
		if err := s.tellSteps(ctx, now, told, tell); err != nil {
			return false, err
		}
		r = now
		ended, _ := now.Finished()
		return ended, nil
	})
	return r, err
}

type taskRuns struct {
	Items []struct {
		Metadata struct {
			Name              string
			Labels            map[string]string
			CreationTimestamp time.Time
		}
		Status struct {
			PodName    string
			Conditions []Condition
			Steps      []struct {
				Name, Container string
				Terminated      *struct {
					ExitCode              int
					StartedAt, FinishedAt time.Time
				}
			}
		}
	}
}

func (s *Site) tellSteps(ctx context.Context, r Run, told map[string]bool, tell StepTold) error {
	if tell == nil {
		return nil
	}
	var list taskRuns
	if err := s.Get(ctx, &list, "taskruns", "-n", r.Metadata.Namespace, "-l", "tekton.dev/pipelineRun="+r.Metadata.Name); err != nil {
		return err
	}
	sort.SliceStable(list.Items, func(i, j int) bool {
		return list.Items[i].Metadata.CreationTimestamp.Before(list.Items[j].Metadata.CreationTimestamp)
	})
	for _, t := range list.Items {
		for _, st := range t.Status.Steps {
			key := t.Metadata.Name + "/" + st.Name
			if st.Terminated == nil || told[key] {
				continue
			}
			told[key] = true
			tell(t.Metadata.Labels["tekton.dev/pipelineTask"], st.Name, st.Terminated.FinishedAt.Sub(st.Terminated.StartedAt), st.Terminated.ExitCode == 0)
		}
	}
	return nil
}

// Logs returns what the steps of a run printed, for the error of a run that
// failed.
func (s *Site) Logs(ctx context.Context, r Run) string {
	var list taskRuns
	if err := s.Get(ctx, &list, "taskruns", "-n", r.Metadata.Namespace, "-l", "tekton.dev/pipelineRun="+r.Metadata.Name); err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, t := range list.Items {
		for _, c := range t.Status.Conditions {
			fmt.Fprintf(&b, "--- %s: %s: %s\n", t.Metadata.Name, c.Reason, c.Message)
		}
		for _, st := range t.Status.Steps {
			out, err := s.Kubectl(ctx, "logs", "-n", r.Metadata.Namespace, t.Status.PodName, "-c", st.Container, "--tail=40")
			fmt.Fprintf(&b, "--- %s, step %s\n%s", t.Metadata.Name, st.Name, out)
			if err != nil {
				fmt.Fprintf(&b, "(no log: %v)\n", err)
			}
		}
	}
	return b.String()
}
