package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/release"
	"github.com/lockstep-cd/lockstep/internal/rollout"
)

// What verify says of a release.
const (
	verified = "verified"
	// skipped: its nodes are simulated, so that nothing that only a container
	// could show was seen.
	skipped = "skipped (simulated)"
	// unhealthy: it is known to be wrong.
	unhealthy = "unhealthy"
)

// verify checks from the cheapest to the dearest: what was deployed, whether
// it became healthy, whether it is still as deployed, whether its tests pass.
// It returns what is known then.
func verify(ctx context.Context, c *config, client *cluster.Client) (outcome string, err error) {
	rel, err := release.Open(client, c.Release)
	if err != nil {
		return "", err
	}
	deployed, err := deployedRevision(rel, c)
	if err != nil {
		return "", err
	}
	if err := isWhatGitSays(ctx, c, deployed); err != nil {
		return "", err
	}
	objects, err := rel.Objects(deployed)
	if err != nil {
		return "", err
	}
	err = rollout.Wait(ctx, client, objects, rollout.Options{Timeout: c.Timeout, CrashLimit: c.CrashLimit, Grace: c.Grace})
	if err != nil {
		return "", err
	}
	if err := isAsDeployed(client, objects); err != nil {
		return "", err
	}
	simulated, err := rollout.Simulated(ctx, client, objects)
	if err != nil {
		return "", err
	}
	if simulated {
		slog.WarnContext(ctx, "the nodes are simulated: no container was executed, so that pods are ready was not verified, and Helm tests are left out",
			"release", c.Release, "revision", deployed.Number)
		return skipped, nil
	}
	return test(ctx, c, client, rel, deployed)
}

// test runs the Helm tests of a healthy release where there is something to run.
func test(ctx context.Context, c *config, client *cluster.Client, rel *release.Release, deployed *release.Revision) (outcome string, err error) {
	if c.SkipTests || !deployed.HasTests() {
		slog.InfoContext(ctx, "healthy", "release", c.Release, "revision", deployed.Number)
		return verified, nil
	}
	if c.Deployment == "unchanged" && deployed.Tested() {
		// Helm notes each run of a test in the release: a run that has nothing to do changes nothing.
		slog.InfoContext(ctx, "healthy, and its tests passed when it was deployed", "release", c.Release, "revision", deployed.Number)
		return verified, nil
	}
	failed := rel.Test(c.Timeout, os.Stderr)
	// A release without pods of its own shows only here where it is.
	objects, err := rel.TestObjects(deployed)
	if err != nil {
		return "", errors.Join(failed, err)
	}
	simulated, err := rollout.Simulated(ctx, client, objects)
	if err := errors.Join(failed, err); err != nil && !simulated {
		return "", err
	}
	if simulated {
		slog.WarnContext(ctx, "the nodes are simulated: no Helm test was executed, whatever its pod says", "release", c.Release, "revision", deployed.Number)
		return skipped, nil
	}
	slog.InfoContext(ctx, "healthy, and its tests pass", "release", c.Release, "revision", deployed.Number)
	return verified, nil
}

func deployedRevision(rel *release.Release, c *config) (*release.Revision, error) {
	last, err := rel.Last()
	if err != nil {
		return nil, err
	}
	if last == nil {
		return nil, fault.Unverified("ReleaseMissing", fmt.Errorf("release %s does not exist in namespace %s", c.Release, c.Namespace), "")
	}
	if last.Status != "deployed" {
		return nil, fault.Unverified("ReleaseNotDeployed", fmt.Errorf("revision %d of release %s is %s", last.Number, c.Release, last.Status),
			fmt.Sprintf("`helm history %s --namespace %s` tells why", c.Release, c.Namespace))
	}
	return last, nil
}

// isWhatGitSays compares the release's record with the checkout: the commit,
// and the applications with their versions.
func isWhatGitSays(ctx context.Context, c *config, deployed *release.Revision) error {
	if c.Source == "" {
		return nil
	}
	folder, err := chart.Inside(c.Source, c.Path)
	if err != nil {
		return err
	}
	if err := sameCommit(c.Source, deployed); err != nil {
		return err
	}
	wanted, err := chart.Load(ctx, folder, c.charts())
	if err != nil {
		return err
	}
	want, err := release.Applications(wanted, deployed.Values())
	if err != nil {
		return err
	}
	if have := deployed.Applications(); !slices.Equal(have, want) {
		return fault.Unverified("NotWhatGitSays", fmt.Errorf("revision %d holds %s, Git says %s", deployed.Number, list(have), list(want)),
			"somebody changed the release by hand; deploying again puts it right")
	}
	return nil
}

func sameCommit(source string, deployed *release.Revision) error {
	repository, err := git.Open(source)
	if errors.Is(err, git.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, head, err := repository.Head()
	if err != nil {
		return fmt.Errorf("read HEAD of %s: %w", source, err)
	}
	if deployed.Commit == string(head) {
		return nil
	}
	what := "was not deployed from a commit"
	if deployed.Commit != "" {
		what = "is commit " + deployed.Commit
	}
	return fault.Unverified("NotWhatGitSays", fmt.Errorf("revision %d %s, the checkout is %s", deployed.Number, what, head),
		"somebody changed the release since; deploying again puts it right")
}

func list(applications []release.Application) string {
	var words []string
	for _, a := range applications {
		words = append(words, a.Name+" "+a.Version)
	}
	if len(words) == 0 {
		return "no application"
	}
	return strings.Join(words, ", ")
}

// isAsDeployed compares the workloads and Services in the cluster with what was
// rendered. Other objects are left to their controllers.
func isAsDeployed(client *cluster.Client, objects []cluster.Object) error {
	compared := whatRuns(objects)
	differences, err := client.Compare(compared, compared, objects...)
	if err != nil {
		return fmt.Errorf("compare the cluster with the release: %w", err)
	}
	var words []string
	for _, d := range differences {
		words = append(words, d.String())
	}
	if len(words) > 0 {
		return fault.Unverified("Drifted", fmt.Errorf("what runs is not what was deployed: %s", strings.Join(words, "; ")),
			"somebody changed it by hand; deploying again puts it right")
	}
	return nil
}

// whatRuns are the workloads and what leads to them.
func whatRuns(objects []cluster.Object) []cluster.Object {
	var found []cluster.Object
	for _, o := range objects {
		core := o.Resource.Group == "" && (o.Kind == "Pod" || o.Kind == "Service")
		if core || o.Resource.Group == "apps" || o.Resource.Group == "batch" {
			found = append(found, o)
		}
	}
	return found
}

// charts is how the chart's dependencies are reached.
func (c *config) charts() chart.Options {
	options := chart.Options{Cache: c.Cache, Access: registry.Access{
		DockerConfig: registry.FindDockerConfig(c.Docker, c.Creds), Insecure: c.Insecure,
	}}
	if c.SSLCA != "" {
		options.Access.CAFile = filepath.Join(c.SSLCA, c.CAFile)
	}
	return options
}
