package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/pipelines"
)

func pipelinesCommand() *cli.Command {
	return &cli.Command{
		Name: "pipelines", Aliases: []string{"pipeline", "pipe", "pipes"}, Usage: "list the runs of pipelines in the cluster, newest first",
		ArgsUsage:   "[ENVIRONMENT|APPLICATION …]",
		Description: "Needs access to the cluster, as kubectl has it. Those of this machine are listed by lockstep runs.",
		Flags: append(clusterFlags(),
			&cli.IntFlag{Name: "limit", Value: 20, Usage: "`NUMBER` of lines; 0: all"},
			outputFlag("yaml", "markdown"),
		),
		Action: getPipelines, OnUsageError: usageError,
	}
}

func logsCommand() *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "print what the steps of a run in the cluster printed", ArgsUsage: "RUN",
		Description: "RUN is the name of a PipelineRun; of an environment or an application, it is its newest. Those of this machine are printed by lockstep runs logs.",
		Flags:       append(clusterFlags(), &cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until the run has ended"}),
		Action:      logsAction, OnUsageError: usageError,
	}
}

// clusterFlags choose what is looked at in the cluster that kubectl talks to.
func clusterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "`NAMESPACE` of the runs; without it, all that may be read"},
		&cli.DurationFlag{Name: "timeout", Aliases: []string{"t"}, Value: time.Hour, Usage: "how long all of it may take"},
	}
}

func getPipelines(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	client, err := cluster.Connect(ctx, "")
	if err != nil {
		return err
	}
	runs, err := pipelines.List(ctx, client, c.String("namespace"), c.Args().Slice()...)
	if err != nil {
		return err
	}
	if limit := c.Int("limit"); limit > 0 && len(runs) > limit {
		runs = runs[:limit]
	}
	t := table{head: []string{"NAMESPACE", "NAME", "COMMIT", "STARTED", "TOOK", "STATE", "WHY"}}
	for _, r := range runs {
		took := ""
		if !r.Ended.IsZero() {
			took = seconds(r.Ended.Sub(r.Started))
		}
		t.add(r.Namespace, r.Name, fmt.Sprintf("%.12s", r.Commit), ago(r.Started), took, r.State, r.Reason)
	}
	return show(c, t, runs)
}

func logsAction(c *cli.Context) error {
	if c.NArg() != 1 {
		return fault.Usage("InvalidArguments", fmt.Errorf("logs takes one RUN, not %d", c.NArg()), "lockstep get pipelines lists them")
	}
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	client, err := cluster.Connect(ctx, "")
	if err != nil {
		return err
	}
	name := c.Args().First()
	newest, err := pipelines.List(ctx, client, c.String("namespace"))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(newest, func(r pipelines.Run) bool { return r.Environment == name || r.Application == name })
	if i >= 0 && !slices.ContainsFunc(newest, func(r pipelines.Run) bool { return r.Name == name }) {
		return pipelines.Logs(ctx, client, newest[i], c.Bool("follow"), c.App.Writer)
	}
	r, err := pipelines.Find(ctx, client, c.String("namespace"), name)
	if err != nil {
		return err
	}
	return pipelines.Logs(ctx, client, r, c.Bool("follow"), c.App.Writer)
}
