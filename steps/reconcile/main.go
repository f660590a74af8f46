// Command reconcile makes the cluster have what environments.yaml and applications.yaml
// say: it provisions environments, lets pushes of applications be heard, starts
// deployments that were missed, says what has drifted, promotes what waited and may go,
// and takes away what was deleted.
package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/provision"
	"github.com/lockstep-cd/lockstep/internal/reconcile"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Environments string        `param:"environments" required:"true" desc:"Git repository of environments.yaml. Example: https://git.example.com/acme/environments"`
	File         string        `param:"environments-file" default:"environments.yaml" desc:"The file's path in the Git repository."`
	Revision     string        `param:"environments-revision" desc:"Branch or tag of that repository. Empty: its default branch."`
	Only         []string      `param:"environment" desc:"Environments to look at, one name per line. Empty: every one, those that were deleted, and the applications."`
	Namespace    string        `param:"namespace" required:"true" desc:"Namespace with the Tasks, Pipelines, Triggers and secrets that each environment gets a copy of. Example: lockstep"`
	Applications string        `param:"applications-namespace" desc:"Namespace that the pipelines of applications run in. Empty: applications.yaml, which stands beside environments.yaml, is not looked at. Example: acme-applications"`
	WebhookURL   string        `param:"webhook-url" desc:"Where forges send pushes. {namespace} stands for the namespace of the runs, {address} for the address and port of its listener in the cluster. Empty: webhooks are not touched. Example: https://{namespace}.hooks.example.com"`
	Waiting      bool          `param:"waiting" default:"true" desc:"Whether to ask the gates of what waits again, to promote what may go, and to roll back what failed where rollback is Auto."`
	DryRun       bool          `param:"dry-run" desc:"Whether to say what would be done, and do nothing: true or false."`
	Timeout      time.Duration `param:"timeout" default:"10m" desc:"How long all of it may take. Example: 10m"`

	promotion.Means

	Started string `result:"started" desc:"Names of the environments whose pipeline was started, one per line."`
	Drift   string `result:"drift" desc:"Names of the environments whose cluster is not what Git says, one per line."`
}

func main() {
	step.Main("reconcile", "make the cluster have what environments.yaml says", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	open := c.Opener(c.Timeout)
	known, err := promotion.Environments(ctx, c.Environments, c.File, c.Revision, open)
	if err != nil {
		return err
	}
	chosen, err := known.Of(c.Only...)
	if err != nil {
		return err
	}
	r, err := c.reconciler(ctx, known, open)
	if err != nil {
		return err
	}
	results := r.Environments(ctx, chosen)
	if len(c.Only) == 0 {
		in, err := open(c.Environments)
		if err != nil {
			return err
		}
		results = append(results, r.Gone(ctx, in, c.Revision)...)
	}
	c.tell(results)
	errReopen := c.reopen(ctx, known, chosen, open)
	applications, err := c.applications(ctx, r)
	err = errors.Join(reconcile.Err(append(results, applications...)), errReopen, err)
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Retryable("Timeout", err, "What was done stays. Try again, or raise timeout.")
	}
	return err
}

// opener reaches a repository.
type opener = func(url string) (*git.Remote, error)

func (c *config) reconciler(ctx context.Context, known *environment.Environments, open opener) (*reconcile.Reconciler, error) {
	client, err := cluster.Connect(ctx, c.Namespace)
	if err != nil {
		return nil, err
	}
	in, err := open(c.Environments)
	if err != nil {
		return nil, err
	}
	return &reconcile.Reconciler{
		Site: provision.Site{
			Client: client, Namespace: c.Namespace, Environments: in.URL(), File: c.File, Applications: c.Applications, Insecure: c.Insecure,
			WebhookURL: c.WebhookURL, Forge: forge.Kind(c.Forge), DryRun: c.DryRun,
		},
		Known: known, Open: open,
	}, nil
}

// applications come last, and what goes wrong with them keeps nothing else back.
func (c *config) applications(ctx context.Context, r *reconcile.Reconciler) ([]reconcile.Result, error) {
	if len(c.Only) > 0 || c.Applications == "" {
		return nil, nil
	}
	all, err := catalog.Catalog{Where: c.Environments, Path: c.File, Revision: c.Revision, Open: r.Open}.Applications(ctx)
	if err != nil || all == nil {
		return nil, err
	}
	return r.Applications(ctx, all), nil
}

func (c *config) tell(results []reconcile.Result) {
	var started, drifted []string
	for _, r := range results {
		switch {
		case r.Outcome == reconcile.Started && !c.DryRun:
			started = append(started, r.Environment)
		case r.Outcome == reconcile.Drifted:
			drifted = append(drifted, r.Environment)
		}
	}
	c.Started, c.Drift = names(started), names(drifted)
}

// longestNames bounds a result, in bytes: Tekton keeps few, and of a failure the
// message as well.
const longestNames = 300

func names(all []string) string {
	slices.Sort(all)
	text := strings.Join(all, "\n")
	if len(text) <= longestNames {
		return text
	}
	text = text[:longestNames]
	return text[:strings.LastIndex(text, "\n")+1] + "…"
}

// reopen promotes what waited, and brings back what failed where the end of the run did
// not.
func (c *config) reopen(ctx context.Context, known *environment.Environments, chosen []environment.Environment, open opener) error {
	if !c.Waiting {
		return nil
	}
	p, err := c.Promotion(c.Timeout)
	if err != nil {
		return err
	}
	everywhere := promotion.Everywhere{Promotion: p, Known: known, Open: open, DryRun: c.DryRun, PullRequests: c.PullRequests(false, 0)}
	results := everywhere.Reopen(ctx, chosen)
	for _, env := range chosen {
		back, errBack := everywhere.RollBackFailed(ctx, env)
		results, err = append(results, back...), errors.Join(err, errBack)
	}
	return errors.Join(promotion.Err(results), err)
}
