package main

import (
	"context"
	"errors"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

func addCommand() *cli.Command {
	return group("add", "let an application's pushes start its pipeline", &cli.Command{
		Name:      "application",
		Aliases:   []string{"app"},
		Usage:     "add an application to applications.yaml, and thereby its webhook and its pipeline",
		UsageText: "lockstep add application NAME --repository URL [--from APPLICATION] [--test-image IMAGE …]",
		Description: "Takes Git rights alone. One commit brings the entry into applications.yaml, which stands beside environments.yaml; where that is a file of this machine, commit it yourself. " +
			"The Trigger of its pipeline and its webhook are made by lockstep reconcile, which runs in the cluster when that commit arrives. " +
			"Environments that take new versions by themselves get the application with its first version, unless --add-missing=false; others when it is promoted there with --add-missing.",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "`APPLICATION` that gives what is not said here, with its name exchanged"},
		}, buildFlags(), commitFlags()),
		Action: addApplication, OnUsageError: usageError,
	})
}

func editApplicationCommand() *cli.Command {
	return &cli.Command{
		Name:        "application",
		Aliases:     []string{"app"},
		Usage:       "change how an application is built, in applications.yaml",
		UsageText:   "lockstep edit application NAME --test-image IMAGE …",
		Description: "One commit changes what is given, and nothing else. An empty text takes a key out.",
		Flags:       slices.Concat(buildFlags(), commitFlags()),
		Action:      editApplication, OnUsageError: usageError,
	}
}

func deleteApplicationCommand() *cli.Command {
	return &cli.Command{
		Name:      "application",
		Aliases:   []string{"app"},
		Usage:     "take an application out of applications.yaml: its pushes start nothing any more",
		UsageText: "lockstep delete application NAME",
		Description: "One commit takes the entry out; lockstep reconcile, which runs in the cluster when it arrives, removes the Trigger and the webhook. " +
			"Environments keep what they have of it: lockstep remove application takes it out of them.",
		Flags:  commitFlags(),
		Action: deleteApplication, OnUsageError: usageError,
	}
}

// applicationKeys are the keys of an entry that flags set.
var applicationKeys = []string{"repository", "branch", "testImage", "testCommand", "imageBase", "imageFiles", "imageEntrypoint", "imageRepository", "chartPath", "chartRepository", "chartName", "chartAlias", "addMissing"}

// buildFlags are the keys of an entry.
func buildFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "repository", Aliases: []string{"git-url"}, Usage: "`URL` of its repository"},
		&cli.StringFlag{Name: "branch", Usage: "`BRANCH` whose pushes are built; without it, the repository's default branch"},
		&cli.StringFlag{Name: "test-image", Usage: "`IMAGE` with the application's own tools"},
		&cli.StringFlag{Name: "test-command", Usage: "`COMMAND` line for /bin/sh that tests it and builds what goes into the image"},
		&cli.StringFlag{Name: "image-base", Usage: "`IMAGE` that the built files are put onto"},
		&cli.StringSliceFlag{Name: "image-files", KeepSpace: true, Usage: "`SOURCE:TARGET` of a file or folder that goes into the image; may be given several times"},
		&cli.StringSliceFlag{Name: "image-entrypoint", KeepSpace: true, Usage: "`WORD` of what the image runs; may be given several times. Without it, the base's"},
		&cli.StringFlag{Name: "image-repository", Usage: "`REPOSITORY` that the image is pushed to"},
		&cli.StringFlag{Name: "chart-path", Usage: "`FOLDER` of its chart; without it, charts/NAME"},
		&cli.StringFlag{Name: "chart-repository", Usage: "`URL` that the chart is pushed to, such as oci://registry.example.com/charts"},
		&cli.StringFlag{Name: "chart-name", Usage: "`NAME` of the chart among the environments' dependencies; without it, the application's"},
		&cli.StringFlag{Name: "chart-alias", Usage: "`ALIAS` of the chart there"},
		&cli.BoolFlag{Name: "add-missing", Usage: "add the chart to environments that take new versions by themselves and do not have it; a new application without --from does, unless --add-missing=false"},
	}
}

func addApplication(c *cli.Context) error {
	return changeApplication(c, "added", func(ctx context.Context, a cataloging) (catalog.Changed, error) {
		return a.catalog.AddApplication(ctx, catalog.ApplicationRequest{Name: a.name, From: c.String("from"), Keys: pairsOf(c, applicationKeys)})
	})
}

func editApplication(c *cli.Context) error {
	return changeApplication(c, "changed", func(ctx context.Context, a cataloging) (catalog.Changed, error) {
		pairs := pairsOf(c, applicationKeys)
		if len(pairs) == 0 {
			return catalog.Changed{}, fault.Usage("InvalidArguments", errors.New("what is to be changed?"), "lockstep edit application --help lists the keys.")
		}
		return a.catalog.SetApplication(ctx, a.name, pairs)
	})
}

func deleteApplication(c *cli.Context) error {
	return changeApplication(c, "removed", func(ctx context.Context, a cataloging) (catalog.Changed, error) {
		return a.catalog.DeleteApplication(ctx, a.name)
	})
}

func changeApplication(c *cli.Context, word string, change func(context.Context, cataloging) (catalog.Changed, error)) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	a, err := catalogOf(c)
	if err != nil {
		return err
	}
	if a.where, err = a.catalog.ApplicationsPlace(); err != nil {
		return err
	}
	changed, err := change(ctx, a)
	if err != nil {
		return err
	}
	line := a.entryLine(word, changed)
	line.Environment, line.Application = "", a.name
	return printDone(c, []done{line})
}
