package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/view"
)

func getCommand() *cli.Command {
	return &cli.Command{
		Name:         "get",
		Usage:        "see what is wanted, deployed and verified where, from Git alone",
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fault.Usage("UnknownCommand", fmt.Errorf("there is no command get %q", c.Args().First()), "lockstep get --help lists the commands")
			}
			return cli.ShowSubcommandHelp(c)
		},
		Subcommands: []*cli.Command{
			{
				Name: "environments", Aliases: []string{"environment", "env", "envs"}, Usage: "list environments, with their rules and what became of their last deployment",
				ArgsUsage: "[ENVIRONMENT …]", Flags: viewFlags(), Action: getEnvironments, OnUsageError: usageError,
			},
			{
				Name: "versions", Aliases: []string{"version"}, Usage: "show which version of each application each environment has",
				ArgsUsage: "[APPLICATION …]",
				Description: "A version stands alone where it was verified; otherwise it says what became of it: not deployed, not verified, failed. " +
					"-o wide has a line for each application in each environment, with since when, by whom, and how many higher versions there are.",
				Flags:  append([]cli.Flag{&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "`NAME` of an environment; may be given several times"}}, viewFlags()...),
				Action: getVersions, OnUsageError: usageError,
			},
			{
				Name: "applications", Aliases: []string{"application", "apps", "app"}, Usage: "list applications, their highest version, and who has them",
				ArgsUsage: "[APPLICATION …]", Flags: viewFlags(), Action: getApplications, OnUsageError: usageError,
			},
			{
				Name: "activity", Aliases: []string{"activities", "act"}, Usage: "list what happened lately in the environments", ArgsUsage: "[ENVIRONMENT …]",
				Flags: append([]cli.Flag{
					&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on and print what happens, until interrupted"},
					&cli.DurationFlag{Name: "interval", Value: 5 * time.Second, Usage: "with --watch: how often to look"},
					limitFlag(),
				}, viewFlags()...),
				Action: getActivity, OnUsageError: usageError,
			},
		},
	}
}

func logCommand() *cli.Command {
	return &cli.Command{
		Name: "log", Usage: "show the promotions and deployments of an environment, newest first", ArgsUsage: "ENVIRONMENT",
		Flags: append([]cli.Flag{limitFlag()}, viewFlags()...), Action: logAction, OnUsageError: usageError,
	}
}

func diffCommand() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "compare the versions of two environments", ArgsUsage: "ENVIRONMENT ENVIRONMENT",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "exit-code", Usage: "end with 1 where they differ, as git diff does"},
		}, viewFlags()...), Action: diffAction, OnUsageError: usageError,
	}
}

func limitFlag() cli.Flag {
	return &cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 20, Usage: "`NUMBER` of lines; 0: all"}
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
	open := func(url string) (*git.Remote, error) {
		return git.NewRemote(url, git.Access{RetryFor: c.Duration("timeout")})
	}
	known, err := promotion.Environments(ctx, c.String("environments"), defaultEnvironments, "", open)
	if err != nil {
		return nil, err
	}
	chosen := known.InOrder()
	for _, name := range names {
		if _, err := known.Find(name); err != nil {
			return nil, err
		}
	}
	if len(names) > 0 {
		chosen = slices.DeleteFunc(chosen, func(e environment.Environment) bool { return !slices.Contains(names, e.Name) })
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
	t := table{head: []string{"NAME", "STRATEGY", "DELIVERY", "AFTER", "GATES", "NAMESPACE", "COMMIT", "STATE", "HELD", "WAITING"}}
	for _, e := range environments {
		var held, waiting []string
		for _, h := range e.Held {
			held = append(held, strings.TrimSpace(cmp.Or(h.Application, "all")+" "+h.Version))
		}
		for _, w := range e.Waiting {
			waiting = append(waiting, w.Application+" "+w.Version)
		}
		t.add(e.Name, string(e.Promotion), string(e.Delivery), strings.Join(e.After, ", "), gates(e.Environment), e.Namespace, e.Commit.Short(), stateOf(e),
			strings.Join(held, ", "), strings.Join(waiting, ", "))
	}
	return show(c, t, environments)
}

func stateOf(e view.Environment) string {
	if e.Err != nil {
		return "unreachable"
	}
	return strings.TrimSpace(string(e.State) + " " + e.Reason)
}

// standing is an application in an environment.
type standing struct {
	Environment string `json:"environment"`
	view.Application
	// State of the desired version: verified, or what keeps it from being that; ""
	// where another tool deploys.
	State string `json:"state,omitempty"`
}

// standingsOf are the applications that the arguments name, by what one of the
// environments calls them or by their chart; without arguments, all.
func standingsOf(c *cli.Context, environments []view.Environment) ([]standing, error) {
	named := map[string]bool{}
	for _, name := range c.Args().Slice() {
		before := len(named)
		for _, e := range environments {
			for _, a := range e.Applications {
				if name == a.Name || name == a.Title() {
					named[a.Title()] = true
				}
			}
		}
		if len(named) == before && !named[name] {
			return nil, fault.Usage("UnknownApplication", fmt.Errorf("no environment has an application %q", name), "lockstep get applications lists them")
		}
	}
	found := []standing{}
	for _, e := range environments {
		for _, a := range e.Applications {
			if c.NArg() == 0 || named[a.Title()] {
				found = append(found, standing{e.Name, a, versionState(e, a)})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b standing) int { return strings.Compare(a.Title(), b.Title()) })
	return found, nil
}

func versionState(e view.Environment, a view.Application) string {
	switch {
	case e.File != "":
		return ""
	case a.Desired != a.Deployed:
		return "not deployed"
	case a.Verified == a.Desired && e.State == environment.Verified:
		return string(environment.Verified)
	case e.State == environment.Failed:
		return string(environment.Failed)
	}
	return "not verified"
}

func showVersions(c *cli.Context, environments []view.Environment) error {
	places, err := standingsOf(c, environments)
	if err != nil {
		return err
	}
	if c.String("output") == "wide" {
		t := table{head: []string{"APPLICATION", "ENVIRONMENT", "DESIRED", "DEPLOYED", "VERIFIED", "STATE", "SINCE", "BY", "BEHIND"}}
		for _, p := range places {
			t.add(p.Title(), p.Environment, p.Desired, p.Deployed, p.Verified, p.State, ago(p.Since), p.By, behind(p.Application))
		}
		return show(c, t, places)
	}
	t := table{head: []string{"APPLICATION"}}
	column := map[string]int{}
	for i, e := range environments {
		t.head = append(t.head, strings.ToUpper(e.Name))
		column[e.Name] = i + 1
	}
	var row []string
	for i, p := range places {
		if i == 0 || places[i-1].Title() != p.Title() {
			row = append([]string{p.Title()}, make([]string, len(environments))...)
			t.rows = append(t.rows, row)
		}
		cell := p.Desired
		if p.State != string(environment.Verified) && p.State != "" {
			cell += " (" + p.State + ")"
		}
		at := column[p.Environment]
		row[at] = strings.TrimPrefix(row[at]+", "+cell, ", ") // by several names
	}
	return show(c, t, places)
}

func behind(a view.Application) string {
	switch {
	case a.Behind == 0:
		return ""
	case a.BehindSince.IsZero():
		return fmt.Sprint(a.Behind)
	}
	return fmt.Sprintf("%d, %s", a.Behind, ago(a.BehindSince))
}

func showApplications(c *cli.Context, environments []view.Environment) error {
	type application struct {
		Name         string   `json:"name"`
		Version      string   `json:"version"` // the highest
		Environments []string `json:"environments"`
	}
	places, err := standingsOf(c, environments)
	if err != nil {
		return err
	}
	list := []application{}
	for _, p := range places {
		if len(list) == 0 || list[len(list)-1].Name != p.Title() {
			list = append(list, application{Name: p.Title()})
		}
		last := &list[len(list)-1]
		last.Environments = append(last.Environments, p.Environment)
		if p.Behind == 0 || last.Version == "" {
			last.Version = p.Desired
		}
	}
	t := table{head: []string{"NAME", "VERSION", "ENVIRONMENTS"}}
	for _, a := range list {
		t.add(a.Name, a.Version, strings.Join(a.Environments, ", "))
	}
	return show(c, t, list)
}

// ago is a time for people: days matter, seconds do not.
func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	switch d := time.Since(t); {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
}

func eventsOf(environments []view.Environment, limit int) []view.Event {
	events := []view.Event{}
	for _, e := range environments {
		events = append(events, e.Events...)
	}
	slices.SortStableFunc(events, func(a, b view.Event) int { return b.When.Compare(a.When) })
	if limit > 0 && len(events) > limit {
		events = events[:limit]
	}
	return events
}

func eventTable(events []view.Event) table {
	t := table{head: []string{"WHEN", "ENVIRONMENT", "WHAT", "COMMIT", "BY", "TEXT"}}
	for _, e := range events {
		t.add(e.When.Local().Format("2006-01-02 15:04"), e.Environment, e.What, e.Commit.Short(), cmp.Or(e.By, e.Run), e.Text)
	}
	return t
}

func showEvents(c *cli.Context, environments []view.Environment) error {
	events := eventsOf(environments, c.Int("limit"))
	return show(c, eventTable(events), events)
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
	limit := c.Int("limit")
	for {
		ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
		environments, err := look(ctx, c, c.Args().Slice()...)
		cancel()
		if err := errors.Join(err, unread(environments)); err != nil {
			if c.Context.Err() != nil {
				return nil
			}
			return err
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
		t := eventTable(news)
		t.bare = len(shown) > len(news)
		if len(news) > 0 {
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
				d.One = a.Desired
			}
			if e.Name == two {
				d.Two = a.Desired
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
