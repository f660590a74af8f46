package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/view"
)

func logCommand() *cli.Command {
	return &cli.Command{
		Name: "log", Usage: "show the promotions and deployments of an environment, newest first", ArgsUsage: "ENVIRONMENT",
		Flags: append([]cli.Flag{limitFlag()}, viewFlags()...), Action: logAction, OnUsageError: usageError,
	}
}

func limitFlag() cli.Flag {
	return &cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 20, Usage: "`NUMBER` of lines; 0: all"}
}

func eventsOf(environments []view.Environment, limit int) []view.Event {
	events := view.Timeline(environments)
	if limit > 0 && len(events) > limit {
		events = events[:limit]
	}
	return events
}

func eventTable(c *cli.Context, events []view.Event) table {
	t := table{head: []string{"WHEN", "ENVIRONMENT", "WHAT", "COMMIT", "BY", "TEXT", "LINK"}}
	for _, e := range events {
		t.add(e.When.Local().Format("2006-01-02 15:04"), e.Environment, e.What, e.Commit.Short(), cmp.Or(e.By, e.Run), e.Text, wide(c, e.Link))
	}
	return t
}

func showEvents(c *cli.Context, environments []view.Environment) error {
	events := eventsOf(environments, c.Int("limit"))
	return show(c, eventTable(c, events), events)
}

func logAction(c *cli.Context) error {
	if c.NArg() != 1 {
		return fault.Usage("InvalidArguments", fmt.Errorf("log takes one ENVIRONMENT, not %d", c.NArg()), "lockstep log --help")
	}
	return looking(byArguments, showEvents)(c)
}

func getActivity(c *cli.Context) error {
	if !c.Bool("watch") {
		return looking(byArguments, showEvents)(c)
	}
	if c.String("output") != "text" {
		return fault.Usage("InvalidArguments", errors.New("--watch prints text only"), "")
	}
	return watch(c)
}

// watch prints what is new, oldest first, until the program is stopped.
func watch(c *cli.Context) error {
	shown := map[string]bool{}
	begun := false
	limit := c.Int("limit")
	for {
		ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
		environments, err := look(ctx, c, c.Args().Slice()...)
		cancel()
		if c.Context.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range environments {
			if e.Err != nil {
				slog.WarnContext(c.Context, "not seen this time", "environment", e.Name, "error", e.Err)
			}
		}
		var news []view.Event
		for _, e := range eventsOf(environments, 0) {
			id := fmt.Sprint(e.Environment, e.Commit, e.What, e.Run, e.When)
			if !shown[id] && (limit == 0 || len(news) < limit) {
				news = append(news, e)
			}
			shown[id] = true
		}
		limit = 0 // it bounds what was there before
		slices.Reverse(news)
		t := eventTable(c, news)
		t.bare = begun
		if len(news) > 0 {
			begun = true
			if err := t.print(c.App.Writer, "text"); err != nil {
				return err
			}
		}
		select {
		case <-c.Context.Done():
			return nil
		case <-time.After(c.Duration("interval")):
		}
	}
}
