package site

import (
	"context"
	"errors"
	"fmt"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lockstep-cd/lockstep/internal/runner"
)

// RunOf waits for the run that a commit starts.
func (l *Local) RunOf(ctx context.Context, namespace, commit string) (runner.Record, error) {
	var found runner.Record
	err := Until(ctx, fmt.Sprintf("a run of commit %.12s in %s", commit, namespace), func(context.Context) (bool, error) {
		list, err := l.runs().List()
		for _, r := range list {
			if r.Namespace == namespace && r.Annotations["lockstep.dev/commit"] == commit {
				found = r
				return true, nil
			}
		}
		return false, err
	})
	return found, err
}

// Finish waits for the end of a run and tells each step as it ends.
func (l *Local) Finish(ctx context.Context, r runner.Record, tell StepTold) (runner.Record, error) {
	started := map[string]runner.Event{}
	return l.runs().Follow(ctx, r.Name, func(e runner.Event) {
		switch e.Kind {
		case runner.StepStarted:
			started[e.Log] = e
		case runner.StepEnded:
			tell(e.Task, e.Step, e.Time.Sub(started[e.Log].Time), e.Well)
		}
	})
}

// Result of a run, or "".
func Result(r runner.Record, name string) string {
	for _, result := range r.Results() {
		if result.Name == name {
			return result.Value
		}
	}
	return ""
}

// Logs is what the steps of a run printed.
func (l *Local) Logs(ctx context.Context, r runner.Record) string {
	out, err := l.Lockstep(ctx, "runs", "logs", r.Name)
	if err != nil {
		return err.Error()
	}
	return out
}

// Settled waits for the newest run of an environment to end, where one was
// started at all.
func (l *Local) Settled(ctx context.Context, e Environment) (runner.Record, error) {
	var newest runner.Record
	err := Until(ctx, "a run in "+e.RunNamespace(), func(context.Context) (bool, error) {
		list, err := l.runs().List()
		for _, r := range list {
			if r.Namespace == e.RunNamespace() {
				newest = r
				return r.State != runner.StateRunning, nil
			}
		}
		return false, err
	})
	return newest, err
}

// Promote commits a version of an application into an environment with the Task
// update-environment, as somebody would by hand, and returns the commit.
func (l *Local) Promote(ctx context.Context, application, version string, e Environment) (string, error) {
	out, err := l.Lockstep(ctx, "run", "tasks/update-environment", "--param", "url="+l.RepositoryURL(e.Repository()),
		"--param", "environment="+e.Name, "--param", "application="+application, "--param", "name="+application, "--param", "version="+version)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if commit, ok := strings.CutPrefix(strings.TrimSpace(line), "commit="); ok {
			return commit, nil
		}
	}
	return "", fmt.Errorf("update-environment named no commit:\n%s", out)
}

func (l *Local) kubernetes() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", l.kubeconfig)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
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

// Version is the version of an application, by its alias, that the control plane
// holds for an environment.
func (l *Local) Version(ctx context.Context, e Environment, alias string) (string, error) {
	client, err := l.kubernetes()
	if err != nil {
		return "", err
	}
	d, err := client.AppsV1().Deployments(e.Namespace).Get(ctx, e.Name+"-"+alias, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	version := d.Labels["app.kubernetes.io/version"]
	if version == "" {
		return "", errors.New("the Deployment does not say its version")
	}
	return version, nil
}
