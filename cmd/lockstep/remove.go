package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

func removeCommand() *cli.Command {
	return &cli.Command{
		Name:  "remove",
		Usage: "take something out of environments",
		Subcommands: []*cli.Command{{
			Name:      "application",
			Aliases:   []string{"app"},
			Usage:     "take an application's chart out of environments",
			UsageText: "lockstep remove application NAME (--env NAME … | --all)",
			Description: "Each environment's repository gets one commit, or one pull request, that takes the dependency out of the chart; its next deployment removes what belongs to it. " +
				"What waits for the environment is withdrawn. Values of the application in values.yaml stay. NAME is the chart's name, or --alias says which one.",
			Flags: append([]cli.Flag{
				&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "`NAME` of an environment; may be given several times"},
				&cli.BoolFlag{Name: "all", Usage: "every environment but those whose promotion is Never"},
				&cli.StringFlag{Name: "alias", Usage: "`NAME` that the environments give the application's chart"},
			}, commitFlags()...),
			Action:       removeApplication,
			OnUsageError: usageError,
		}},
	}
}

func removeApplication(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	if c.NArg() != 1 || c.Args().First() == "" {
		return fault.Usage("InvalidArguments", fmt.Errorf("remove application takes one NAME, not %d", c.NArg()), "lockstep remove application --help")
	}
	if c.Bool("all") == c.IsSet("env") {
		return fault.Usage("InvalidArguments", errors.New("from where? Give one of --env NAME and --all"), "lockstep environments check lists the environments")
	}
	everywhere, err := everywhereOf(ctx, c)
	if err != nil {
		return err
	}
	chosen := everywhere.Known.AutoAndManual()
	if c.IsSet("env") {
		if chosen, err = everywhere.Known.Named(c.String("break-glass"), c.StringSlice("env")...); err != nil {
			return err
		}
	}
	everywhere.Application, everywhere.Chart, everywhere.Remove = c.Args().First(), edit.Selector{Name: c.Args().First()}, true
	if alias := c.String("alias"); alias != "" {
		everywhere.Chart = edit.Selector{Alias: alias}
	}
	return announce(c, everywhere.Promote(ctx, chosen))
}
