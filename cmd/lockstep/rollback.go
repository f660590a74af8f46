package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

func rollbackCommand() *cli.Command {
	return &cli.Command{
		Name:      "rollback",
		Usage:     "bring back what an environment had",
		UsageText: "lockstep rollback ENVIRONMENT [APPLICATION] [--to VERSION|COMMIT|last-verified] [--reason TEXT]",
		Description: "One commit, or one pull request, sets the application's earlier version; without APPLICATION, one commit makes all files of the environment what they were. " +
			"What is rolled back is held with it, so that no automatic promotion undoes that: lockstep release ENVIRONMENT APPLICATION ends it. " +
			"Without --to it is what was verified last and differs from what is there now. No gate is asked.",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "to", Value: promotion.LastVerified, Usage: "`VERSION` of the application, or commit of the environment's repository, to go back to"},
			&cli.BoolFlag{Name: "no-hold", Usage: "let automatic promotions go on"},
		}, reasonFlags(), publicationFlags(), requestFlags(), waitFlags(), commitFlags()),
		Action:       rollbackAction,
		OnUsageError: usageError,
	}
}

func holdCommand() *cli.Command {
	return &cli.Command{
		Name:      "hold",
		Usage:     "keep automatic promotions away from an environment",
		UsageText: "lockstep hold ENVIRONMENT [APPLICATION] [--reason TEXT]",
		Description: "One commit to the environment's repository says so, for one application or for all. What would be promoted automatically waits until lockstep release; " +
			"a version that is asked for with --env goes in.",
		Flags:        slices.Concat(reasonFlags(), commitFlags()),
		Action:       holdAction(0, "APPLICATION"),
		OnUsageError: usageError,
	}
}

func rejectCommand() *cli.Command {
	return &cli.Command{
		Name:      "reject",
		Usage:     "keep one version of an application away from an environment",
		UsageText: "lockstep reject ENVIRONMENT APPLICATION VERSION [--reason TEXT]",
		Description: "One commit to the environment's repository says so. The version waits where it would be promoted automatically and is refused where it is asked for; others go in. " +
			"lockstep release ENVIRONMENT APPLICATION VERSION takes it back.",
		Flags:        slices.Concat(reasonFlags(), commitFlags()),
		Action:       holdAction(2, "APPLICATION", "VERSION"),
		OnUsageError: usageError,
	}
}

func releaseCommand() *cli.Command {
	return &cli.Command{
		Name:      "release",
		Usage:     "end what hold, rollback or reject began",
		UsageText: "lockstep release ENVIRONMENT [APPLICATION [VERSION]]",
		Description: "One commit to the environment's repository says so; then the gates of what waits for the environment are asked again, as by lockstep promote --waiting, " +
			"and what may go is promoted.",
		Flags:        slices.Concat(publicationFlags(), requestFlags(), commitFlags()),
		Action:       releaseAction,
		OnUsageError: usageError,
	}
}

func reasonFlags() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "reason", Aliases: []string{"m"}, Usage: "`TEXT` that says why, for the commit and for whoever meets the hold"}}
}

// about is what an environment and the words behind it say.
type about struct {
	everywhere  promotion.Everywhere
	environment environment.Environment
}

// aboutOf reads ENVIRONMENT, which has to be there, and up to len(others) words
// behind it, of which as many as need are needed.
func aboutOf(ctx context.Context, c *cli.Context, need int, others ...string) (about, error) {
	words := c.Args().Slice()
	if len(words) < 1+need || len(words) > 1+len(others) || slices.Contains(words, "") {
		return about{}, fault.Usage("InvalidArguments", fmt.Errorf("%q is not what is asked for: %s", words, c.Command.UsageText), "lockstep "+c.Command.Name+" --help")
	}
	e, err := everywhereOf(ctx, c)
	if err != nil {
		return about{}, err
	}
	env, err := e.Known.Find(words[0])
	if err != nil {
		return about{}, err
	}
	e.Hold = promotion.NewHold(c.String("reason"), e.Author)
	if len(words) > 1 {
		e.Application, e.Chart = words[1], edit.Selector{Name: words[1]}
	}
	if len(words) > 2 {
		e.Hold.Version = words[2]
		err = edit.CheckVersion(words[2])
	}
	return about{e, env}, err
}

func rollbackAction(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	a, err := aboutOf(ctx, c, 0, "APPLICATION")
	if err != nil {
		return err
	}
	if err := waitable(c, a.environment); err != nil {
		return err
	}
	if c.Bool("no-hold") {
		a.everywhere.Hold = promotion.Hold{}
	}
	results, err := a.everywhere.RollBack(ctx, a.environment, c.String("to"))
	if err != nil {
		return err
	}
	return announce(c, arrived(ctx, c, a.everywhere, results))
}

// holdAction takes the others behind ENVIRONMENT, of which so many are needed.
func holdAction(need int, others ...string) cli.ActionFunc {
	return func(c *cli.Context) error {
		ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
		defer cancel()
		a, err := aboutOf(ctx, c, need, others...)
		if err != nil {
			return err
		}
		a.everywhere.Mark = promotion.MarkHold
		return announce(c, a.everywhere.Marked(ctx, a.environment))
	}
}

func releaseAction(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	a, err := aboutOf(ctx, c, 0, "APPLICATION", "VERSION")
	if err != nil {
		return err
	}
	release := a.everywhere
	release.Mark = promotion.MarkRelease
	results := release.Marked(ctx, a.environment)
	if promotion.Err(results) == nil && !a.everywhere.DryRun {
		a.everywhere.Hold = promotion.Hold{}
		results = append(results, a.everywhere.Reopen(ctx, []environment.Environment{a.environment})...)
	}
	return announce(c, results)
}
