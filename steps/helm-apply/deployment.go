package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/release"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/step"
)

// slack is added to a lease for what happens between the timed parts.
const slack = time.Minute

var errTimeout = errors.New("timed out")

// deployment is one run of this program.
type deployment struct {
	config *config
	holder string
	// late outlives the run's context by a moment: the lease is ended with it.
	late *cluster.Client
	// signers are whose commits are deployed; nil: anybody's.
	signers *signature.Signers
}

func newDeployment(ctx context.Context, c *config) (*deployment, error) {
	if _, err := chart.Inside(c.Source, c.Path); err != nil {
		return nil, err
	}
	signers, err := c.Signers()
	if err != nil {
		return nil, err
	}
	client, err := cluster.Connect(ctx, c.Namespace)
	if err != nil {
		return nil, err
	}
	late, err := client.Detached()
	if err != nil {
		return nil, err
	}
	if c.CreateNamespace && !c.DryRun {
		if err := client.EnsureNamespace(ctx); err != nil {
			return nil, err
		}
	}
	return &deployment{config: c, holder: holder(c.Run), late: late, signers: signers}, nil
}

// holder names this process where no run is given.
func holder(run string) string {
	if run != "" {
		return run
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// underLease does the work while the release's lease is held, so that no two
// deployments of one release overlap.
func (d *deployment) underLease(ctx context.Context, work func(context.Context) error) error {
	lease, err := d.late.Acquire(ctx, cluster.LeaseOptions{
		Name: release.LeaseName(d.config.Release), Holder: d.holder,
		For: d.config.Timeout + d.config.KeepLease + slack, Wait: d.config.LeaseTimeout,
		Waiting: func(holder string, until time.Time) {
			slog.InfoContext(ctx, "another deployment is under way: waiting", "lease-holder", holder,
				"lease-ends-by", until.Format(time.RFC3339), "at-most", d.config.LeaseTimeout)
		},
	})
	if err != nil {
		return d.late.NamespaceError(err)
	}
	if lease.Previous != "" {
		slog.WarnContext(ctx, "took over the lease of a run that did not end it", "run", lease.Previous)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, d.config.Timeout, errTimeout)
	defer cancel()
	err = work(bounded)
	if err != nil && context.Cause(bounded) == errTimeout {
		err = fault.Retryable("Timeout", fmt.Errorf("not done after %s: %w", d.config.Timeout, err), "raise timeout if the chart's hooks need longer")
	}
	return d.leave(ctx, lease, err)
}

// leave ends the lease, or keeps it for the steps that follow a success. What
// became of the deployment is noted there for record, which gets no results of
// a task that failed.
func (d *deployment) leave(ctx context.Context, lease *cluster.Lease, err error) error {
	lease.Notes = map[string]string{"commit": d.config.Commit, "deployment": d.config.Outcome}
	if err != nil {
		lease.Notes["deployment"], lease.Notes["reason"] = "failed", fault.Of(err).Reason
		lease.Notes["exit-code"] = strconv.Itoa(step.ExitCode(ctx, err))
	}
	ctx = context.WithoutCancel(ctx)
	if err == nil && d.config.KeepLease > 0 {
		return lease.Extend(ctx, d.config.KeepLease)
	}
	if ended := lease.Release(ctx); ended != nil {
		// It ends by itself in time; the deployment's own outcome matters more.
		slog.WarnContext(ctx, "the lease was not ended", "error", ended)
	}
	return err
}

// deploy is what happens under the lease.
func (d *deployment) deploy(ctx context.Context) error {
	rel, err := d.open(ctx)
	if err != nil {
		return err
	}
	if err := rel.Recover(ctx, d.config.LeaseTimeout); err != nil {
		return err
	}
	commit, superseded, err := d.choose(ctx, rel)
	d.config.Commit = string(commit)
	if err != nil || superseded {
		return err
	}
	wanted, err := d.wanted()
	if err != nil {
		return err
	}
	if done, err := d.unchanged(ctx, rel, wanted); done || err != nil {
		return err
	}
	// A program that is killed says nothing more: record finds the commit on the lease.
	if err := d.late.NoteLease(ctx, release.LeaseName(d.config.Release), d.holder, map[string]string{"commit": d.config.Commit}); err != nil {
		return err
	}
	if wanted.Chart, err = d.load(ctx); err != nil {
		return err
	}
	slog.InfoContext(ctx, "deploying", "release", d.config.Release, "namespace", d.config.Namespace, "commit", wanted.Commit)
	revision, err := rel.Deploy(wanted)
	if revision > 0 {
		d.config.Revision = strconv.Itoa(revision)
	}
	if err != nil {
		return err
	}
	d.config.Outcome = "deployed"
	slog.InfoContext(ctx, "deployed", "release", d.config.Release, "revision", revision, "commit", wanted.Commit)
	return nil
}

// open connects for as long as ctx lasts: Helm takes no context.
func (d *deployment) open(ctx context.Context) (*release.Release, error) {
	client, err := cluster.Connect(ctx, d.config.Namespace)
	if err != nil {
		return nil, err
	}
	return release.Open(client, d.config.Release)
}

// unchanged reports whether this commit runs already, with these values and
// nothing drifted, so that there is nothing to do.
func (d *deployment) unchanged(ctx context.Context, rel *release.Release, wanted release.Deployment) (bool, error) {
	last, err := rel.Last()
	if err != nil || !last.Unchanged(wanted) {
		return false, err
	}
	drift, err := rel.Drift(last)
	if err != nil {
		return false, err
	}
	for _, difference := range drift {
		slog.WarnContext(ctx, "drifted", "difference", difference.String())
	}
	if len(drift) > 0 {
		return false, nil
	}
	d.config.Outcome, d.config.Revision = "unchanged", strconv.Itoa(last.Number)
	slog.InfoContext(ctx, "nothing to do: this commit is deployed and nothing has drifted", "release", d.config.Release, "revision", last.Number, "commit", wanted.Commit)
	return true, nil
}

// wanted is the deployment that the workspace asks for, without the chart.
func (d *deployment) wanted() (release.Deployment, error) {
	folder, err := chart.Inside(d.config.Source, d.config.Path)
	if err != nil {
		return release.Deployment{}, err
	}
	values, err := release.ReadValues(folder, d.config.Values)
	if err != nil {
		return release.Deployment{}, err
	}
	return release.Deployment{Values: values, Commit: d.config.Commit, Timeout: d.config.Timeout}, nil
}

// load is called after the workspace has got its final content: what path
// leads to is looked at again.
func (d *deployment) load(ctx context.Context) (*chart.Chart, error) {
	folder, err := chart.Inside(d.config.Source, d.config.Path)
	if err != nil {
		return nil, err
	}
	return chart.Load(ctx, folder, d.config.charts())
}

// show prints what a deployment would change.
func (d *deployment) show(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.config.Timeout, errTimeout)
	defer cancel()
	rel, err := d.open(ctx)
	if err != nil {
		return err
	}
	commit, superseded, err := d.choose(ctx, rel)
	d.config.Commit = string(commit)
	if err != nil || superseded {
		return err
	}
	wanted, err := d.wanted()
	if err != nil {
		return err
	}
	if wanted.Chart, err = d.load(ctx); err != nil {
		return err
	}
	differences, err := rel.Plan(wanted)
	if err != nil {
		return err
	}
	if len(differences) == 0 {
		d.config.Outcome = "unchanged"
	}
	return printDifferences(os.Stderr, differences)
}
