package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/view"
)

func getCommand() *cli.Command {
	return group("get", "see what is wanted, deployed and verified where; all but pipelines from Git alone",
		&cli.Command{
			Name: "environments", Aliases: []string{"environment", "env", "envs"}, Usage: "list environments, with their rules and what became of their last deployment",
			ArgsUsage: "[ENVIRONMENT …]", Flags: viewFlags(), Action: getEnvironments, OnUsageError: usageError,
		},
		&cli.Command{
			Name: "versions", Aliases: []string{"version"}, Usage: "show which version of each application each environment has",
			ArgsUsage: "[APPLICATION …]",
			Description: "A version stands alone where it was verified; otherwise it says what became of it: not deployed, not verified, failed. " +
				"-o wide has a line for each application in each environment, with since when, by whom, and how many higher versions there are.",
			Flags:  append(namedFlags(), viewFlags()...),
			Action: getVersions, OnUsageError: usageError,
		},
		&cli.Command{
			Name: "applications", Aliases: []string{"application", "apps", "app"}, Usage: "list applications, their highest version, and who has them",
			ArgsUsage: "[APPLICATION …]", Flags: append(namedFlags(), viewFlags()...), Action: getApplications, OnUsageError: usageError,
		},
		pipelinesCommand(),
		&cli.Command{
			Name: "activity", Aliases: []string{"activities", "act"}, Usage: "list what happened lately in the environments", ArgsUsage: "[ENVIRONMENT …]",
			Flags: append([]cli.Flag{
				&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on and print what happens, until interrupted"},
				&cli.DurationFlag{Name: "interval", Value: 5 * time.Second, Usage: "with --watch: how often to look"},
				limitFlag(),
			}, viewFlags()...),
			Action: getActivity, OnUsageError: usageError,
		},
	)
}

// namedFlags choose environments.
func namedFlags() []cli.Flag {
	return []cli.Flag{&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "`NAME` of an environment; may be given several times"}}
}

func viewFlags() []cli.Flag {
	return []cli.Flag{
		environmentsFlag(),
		&cli.BoolFlag{Name: "no-cache", Usage: "read everything anew, and keep nothing"},
		&cli.DurationFlag{Name: "timeout", Aliases: []string{"t"}, Value: time.Minute, Usage: "how long all of it may take"},
		outputFlag("wide", "yaml", "markdown"),
	}
}

// look reads the environments of these names, or all.
func look(ctx context.Context, c *cli.Context, names ...string) ([]view.Environment, error) {
	open := opener(c)
	known, err := promotion.Environments(ctx, c.String("environments"), defaultEnvironments, "", open)
	if err != nil {
		return nil, err
	}
	chosen, err := known.Of(names...)
	if err != nil {
		return nil, err
	}
	cache := view.UserCache()
	if c.Bool("no-cache") {
		cache = ""
	}
	return view.Read(ctx, chosen, open, cache), nil
}

// unread is what was not shown: the rest is, and the program fails.
func unread(environments []view.Environment) error {
	var errs []error
	for _, e := range environments {
		if e.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Name, e.Err))
		}
	}
	return errors.Join(errs...)
}

// looking is an action that looks at the environments that are named by its
// arguments or, where those are something else, by --env.
func looking(names func(*cli.Context) []string, show func(*cli.Context, []view.Environment) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
		defer cancel()
		environments, err := look(ctx, c, names(c)...)
		if err != nil {
			return err
		}
		return errors.Join(unread(environments), show(c, environments))
	}
}

func byArguments(c *cli.Context) []string { return c.Args().Slice() }
func byFlag(c *cli.Context) []string      { return c.StringSlice("env") }

var (
	getEnvironments = looking(byArguments, showEnvironments)
	getVersions     = looking(byFlag, showVersions)
	getApplications = looking(byFlag, showApplications)
)

func showEnvironments(c *cli.Context, environments []view.Environment) error {
	t := table{head: []string{"NAME", "STRATEGY", "DELIVERY", "AFTER", "GATES", "NAMESPACE", "COMMIT", "STATE", "HELD", "WAITING", "LINK"}}
	for _, e := range environments {
		var held, waiting []string
		for _, h := range e.Held {
			held = append(held, strings.TrimSpace(cmp.Or(h.Application, "all")+" "+h.Version))
		}
		for _, w := range e.Waiting {
			waiting = append(waiting, w.Application+" "+w.Version)
		}
		t.add(e.Name, string(e.Promotion), string(e.Delivery), strings.Join(e.After, ", "), gates(e.Environment), e.Namespace, e.Commit.Short(), stateOf(e),
			strings.Join(held, ", "), strings.Join(waiting, ", "), wide(c, e.Link))
	}
	return show(c, t, environments)
}

// wide is what only -o wide and Markdown have room for.
func wide(c *cli.Context, text string) string {
	if format := c.String("output"); format != "wide" && format != "markdown" {
		return ""
	}
	return text
}

func stateOf(e view.Environment) string {
	if e.Err != nil {
		return "unreachable"
	}
	return strings.TrimSpace(string(e.State) + " " + e.Reason)
}
