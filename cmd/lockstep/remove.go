package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

func removeCommand() *cli.Command {
	return group("remove", "take something out of environments", &cli.Command{
		Name:      "application",
		Aliases:   []string{"app"},
		Usage:     "take an application's chart out of environments",
		UsageText: "lockstep remove application NAME (--env NAME … | --all-auto | --all)",
		Description: "Each environment's repository gets one commit, or one pull request, that takes the dependency out of the chart; its next deployment removes what belongs to it. " +
			"What waits for the environment is withdrawn. Values of the application in values.yaml stay. NAME is the chart's name, or --alias says which one.",
		Flags:        slices.Concat(placeFlags(), requestFlags(), waitFlags(), commitFlags()),
		Action:       removeApplication,
		OnUsageError: usageError,
	})
}

func removeApplication(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	if c.NArg() != 1 || c.Args().First() == "" {
		return fault.Usage("InvalidArguments", fmt.Errorf("remove application takes one NAME, not %d", c.NArg()), "lockstep remove application --help")
	}
	everywhere, err := everywhereOf(ctx, c)
	if err != nil {
		return err
	}
	chosen, err := environmentsOf(c, everywhere.Known)
	if err != nil {
		return err
	}
	if err := waitable(c, chosen...); err != nil {
		return err
	}
	everywhere.Application, everywhere.Remove = c.Args().First(), true
	if everywhere.Chart, err = chartOf(c, everywhere.Application); err != nil {
		return err
	}
	return announce(c, arrived(ctx, c, everywhere, everywhere.Promote(ctx, chosen)))
}
