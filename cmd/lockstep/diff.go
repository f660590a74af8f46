package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

func diffCommand() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "compare the versions of two environments", ArgsUsage: "ENVIRONMENT ENVIRONMENT",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "exit-code", Usage: "end with 1 where they differ, as git diff does"},
		}, viewFlags()...), Action: diffAction, OnUsageError: usageError,
	}
}

func diffAction(c *cli.Context) error {
	if c.NArg() != 2 {
		return fault.Usage("InvalidArguments", fmt.Errorf("diff takes two ENVIRONMENTs, not %d", c.NArg()), "lockstep diff --help")
	}
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	one, two := c.Args().Get(0), c.Args().Get(1)
	environments, err := look(ctx, c, one, two)
	if err != nil {
		return err
	}
	if err := unread(environments); err != nil {
		return err
	}
	type difference struct {
		Application string `json:"application"`
		One         string `json:"one,omitempty"`
		Two         string `json:"two,omitempty"`
	}
	found := map[string]*difference{}
	var names []string
	for _, e := range environments {
		for _, a := range e.Applications {
			d := found[a.Title()]
			if d == nil {
				d = &difference{Application: a.Title()}
				found[a.Title()], names = d, append(names, a.Title())
			}
			if e.Name == one {
				d.One = and(d.One, a.Desired)
			}
			if e.Name == two {
				d.Two = and(d.Two, a.Desired)
			}
		}
	}
	slices.Sort(names)
	t := table{head: []string{"APPLICATION", strings.ToUpper(one), strings.ToUpper(two)}}
	list := []difference{}
	for _, name := range names {
		if d := *found[name]; d.One != d.Two {
			list = append(list, d)
			t.add(d.Application, d.One, d.Two)
		}
	}
	if err := show(c, t, list); err != nil {
		return err
	}
	if len(list) > 0 && c.Bool("exit-code") {
		return &ended{1}
	}
	return nil
}
