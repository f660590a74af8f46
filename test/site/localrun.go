package site

import (
	"context"
	"fmt"
	"slices"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lockstep-cd/lockstep/internal/runner"
)

// runsIn lists the runs of a namespace, oldest first.
func (l *Local) runsIn(namespace string) func(context.Context) ([]Run, error) {
	return func(context.Context) ([]Run, error) {
		list, err := l.runs().List()
		var runs []Run
		for _, r := range slices.Backward(list) {
			if r.Namespace == namespace {
				runs = append(runs, runFrom(r))
			}
		}
		return runs, err
	}
}

func runFrom(r runner.Record) Run {
	run := Run{
		Namespace: r.Namespace, Name: r.Name, Commit: r.Annotations["lockstep.dev/commit"], Created: r.Started,
		Ended: r.State != runner.StateRunning, Completed: r.Finished, Well: r.State == runner.StateSucceeded, Why: r.Reason + ": " + r.Message, results: map[string]string{},
	}
	for _, result := range r.Results() {
		run.results[result.Name] = result.Value
	}
	return run
}

// RunOf waits for the run that a commit starts.
func (l *Local) RunOf(ctx context.Context, namespace, commit string) (Run, error) {
	return runOf(ctx, fmt.Sprintf("a run of commit %.12s in %s", commit, namespace), commit, l.runsIn(namespace))
}

// Settled waits until an environment was deployed at least once and none of its
// runs is under way, and returns the newest run.
func (l *Local) Settled(ctx context.Context, e Environment) (Run, error) {
	return settled(ctx, "the runs in "+e.RunNamespace(), l.runsIn(e.RunNamespace()))
}

// Finish waits for the end of a run and tells each step as it starts and ends.
func (l *Local) Finish(ctx context.Context, r Run, tell func(Step)) (Run, error) {
	started := map[string]runner.Event{}
	record, err := l.runs().Follow(ctx, r.Name, func(e runner.Event) {
		switch e.Kind {
		case runner.StepStarted:
			started[e.Log] = e
			tell(Step{Task: e.Task, Name: e.Step})
		case runner.StepEnded:
			tell(Step{Task: e.Task, Name: e.Step, Ended: true, Well: e.Well, Took: e.Time.Sub(started[e.Log].Time)})
		}
	})
	return runFrom(record), err
}

// Logs is what the steps of a run printed.
func (l *Local) Logs(ctx context.Context, r Run) string {
	out, err := l.Lockstep(ctx, "runs", "logs", r.Name)
	if err != nil {
		return err.Error()
	}
	return out
}

// Promote commits a version of an application into an environment with lockstep
// promote, as somebody would by hand, and returns the commit's first digits.
func (l *Local) Promote(ctx context.Context, application, version string, e Environment) (string, error) {
	out, err := l.Lockstep(ctx, "promote", application, "--version", version, "--env", e.Name,
		"--environments", l.RepositoryURL(environmentsRepository), "--output", "json")
	if err != nil {
		return "", err
	}
	return promotedCommit(out, e)
}

// createNamespaces makes those of the releases, with the same admission as on a
// real cluster.
func (l *Local) createNamespaces(ctx context.Context) error {
	client, err := l.kubernetes()
	if err != nil {
		return err
	}
	for _, e := range l.Environments {
		_, err := client.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: e.Namespace, Labels: map[string]string{"lockstep.dev/environment": e.Name, "pod-security.kubernetes.io/enforce": "restricted"},
		}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}
