package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/provision"
	"github.com/lockstep-cd/lockstep/internal/reconcile"
)

// provisionTime is for an environment whose listener has to start first.
const provisionTime = 10 * time.Minute

func reconcileCommand() *cli.Command {
	return &cli.Command{
		Name:      "reconcile",
		Usage:     "make the cluster have what environments.yaml says, and say where it has not",
		ArgsUsage: "[ENVIRONMENT …]",
		Description: "For each environment: namespaces, rights, pipelines, secrets, Trigger and webhook are made where they are missing; a tip that is not deployed gets a run, at most one at a time; " +
			"a cluster that differs from what was deployed is reported. Without names, what was deleted is taken away as well, and each application of applications.yaml gets its Trigger and webhook. It needs an administrator's access to the cluster: the one that kubectl has. In the cluster the step of the same name does it.",
		Flags: slices.Concat([]cli.Flag{
			environmentsFlag(),
			&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Value: "lockstep", Usage: "`NAMESPACE` that has the Tasks, Pipelines, Triggers and secrets"},
			&cli.StringFlag{Name: "applications-namespace", Usage: "`NAMESPACE` that the pipelines of applications run in. Without it, applications.yaml is not looked at"},
			&cli.StringFlag{Name: "webhook-url", Usage: "`URL` that forges send pushes to; {namespace} and {address} stand for those of an environment's listener. Without it, webhooks are not touched"},
			&cli.StringSliceFlag{Name: "insecure", Usage: "`HOST` or host:port of a registry that may be spoken to in plain HTTP; may be given several times"},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and do nothing"},
			&cli.DurationFlag{Name: "timeout", Aliases: []string{"t"}, Value: provisionTime, Usage: "how long all of it may take"},
			outputFlag("yaml", "markdown"),
		}, forgeFlags()),
		Action: reconcileAction, OnUsageError: usageError,
	}
}

func reconcileAction(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	open := opener(c)
	where := c.String("environments")
	known, err := promotion.Environments(ctx, where, defaultEnvironments, "", open)
	if err != nil {
		return err
	}
	chosen, err := known.Of(c.Args().Slice()...)
	if err != nil {
		return err
	}
	client, err := cluster.Connect(ctx, c.String("namespace"))
	if err != nil {
		return err
	}
	of := catalog.Catalog{Where: where, Path: defaultEnvironments, Open: open}
	in, err := of.Remote()
	if err != nil {
		return err
	}
	r := reconcile.Reconciler{
		Site: provision.Site{
			Client: client, Namespace: c.String("namespace"), Applications: c.String("applications-namespace"), Insecure: c.StringSlice("insecure"),
			WebhookURL: c.String("webhook-url"), Forge: forge.Kind(c.String("forge")), DryRun: c.Bool("dry-run"),
		},
		Known: known, Open: open,
	}
	if in != nil {
		r.Site.Environments, r.Site.File = in.URL(), defaultEnvironments
	}
	results := r.Environments(ctx, chosen)
	if in != nil && c.NArg() == 0 {
		results = append(results, r.Gone(ctx, in, "")...)
	}
	if in != nil && c.NArg() == 0 && r.Site.Applications != "" {
		applications, err := of.Applications(ctx)
		if err != nil {
			return errors.Join(reconcile.Err(results), showReconciled(c, results), err)
		}
		if applications != nil {
			results = append(results, r.Applications(ctx, applications)...)
		}
	}
	return errors.Join(reconcile.Err(results), showReconciled(c, results))
}

func showReconciled(c *cli.Context, results []reconcile.Result) error {
	t := table{head: []string{"KIND", "NAME", "OUTCOME", "COMMIT", "RUN", "CHANGED", "WHY"}}
	for _, r := range results {
		outcome := string(r.Outcome)
		if r.DryRun && r.Outcome != reconcile.Unchanged {
			outcome += " (dry run)"
		}
		kind, name := "environment", r.Environment
		if r.Application != "" {
			kind, name = "application", r.Application
		}
		t.add(kind, name, outcome, r.Commit.Short(), r.Run, strings.Join(r.Changed, ", "), cmp.Or(strings.Join(r.Drift, "; "), r.Reason))
	}
	return show(c, t, results)
}
