package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/runner"
)

func runsCommand() *cli.Command {
	return &cli.Command{
		Name:         "runs",
		Usage:        "list the runs of this machine, and look at one",
		UsageText:    "lockstep runs [list]\nlockstep runs describe|watch|logs|delete NAME",
		Flags:        []cli.Flag{outputFlag()},
		Action:       listRuns,
		OnUsageError: usageError,
		Subcommands: []*cli.Command{
			{Name: "list", Aliases: []string{"ls"}, Usage: "list the runs, newest first", Flags: []cli.Flag{outputFlag()}, Action: listRuns, OnUsageError: usageError},
			{Name: "describe", Usage: "show the tasks, steps and results of a run", ArgsUsage: "NAME", Flags: []cli.Flag{outputFlag()}, Action: describeRun, OnUsageError: usageError},
			{Name: "watch", Usage: "follow a run until it ends; the exit code is the run's", ArgsUsage: "NAME", Action: watchRun, OnUsageError: usageError},
			{Name: "logs", Usage: "print what the steps of a run printed", ArgsUsage: "NAME [TASK [STEP]]", Action: printLogs, OnUsageError: usageError},
			{Name: "delete", Aliases: []string{"rm"}, Usage: "forget runs that have ended", ArgsUsage: "NAME …",
				Flags: []cli.Flag{&cli.BoolFlag{Name: "all", Usage: "every run that has ended"}}, Action: deleteRuns, OnUsageError: usageError},
		},
	}
}

func listRuns(c *cli.Context) error {
	if c.Args().Present() {
		return fault.Usage("InvalidArguments", fmt.Errorf("runs takes no %q", c.Args().First()), "lockstep runs describe NAME shows one")
	}
	list, err := store().List()
	if err != nil {
		return err
	}
	if asJSON(c) {
		if list == nil {
			list = []runner.Record{}
		}
		return printJSON(c.App.Writer, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(c.App.ErrWriter, "no runs are kept; lockstep run makes one")
		return nil
	}
	t := table{head: []string{"NAME", "STARTED", "DURATION", "STATUS"}}
	for _, r := range list {
		t.add(r.Name, r.Started.Local().Format(time.DateTime), duration(r), status(r))
		if r.State == runner.StateDamaged {
			fmt.Fprintf(c.App.ErrWriter, "%s; lockstep runs delete %s removes it\n", r.Message, r.Name)
		}
	}
	return t.print(c.App.Writer, "text")
}

func duration(r runner.Record) string {
	if r.Finished.IsZero() {
		return "---"
	}
	return seconds(r.Finished.Sub(r.Started))
}

func status(r runner.Record) string {
	if r.Reason == "" || r.Reason == r.State {
		return r.State
	}
	return r.State + " (" + r.Reason + ")"
}

// one is the run that the first argument names.
func one(c *cli.Context) (runner.Record, error) {
	if !c.Args().Present() {
		return runner.Record{}, fault.Usage("InvalidArguments", fmt.Errorf("which run?"), "lockstep runs lists them")
	}
	return store().Get(c.Args().First())
}

func describeRun(c *cli.Context) error {
	r, err := one(c)
	if err != nil {
		return err
	}
	if asJSON(c) {
		return printJSON(c.App.Writer, r)
	}
	w := c.App.Writer
	fmt.Fprintf(w, "%s\n  of        %s\n  started   %s\n  status    %s\n", r.Name, r.Object, r.Started.Local().Format(time.DateTime), status(r))
	if r.Message != "" {
		fmt.Fprintf(w, "  message   %s\n", r.Message)
	}
	if r.Outcome == nil {
		return nil
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, task := range r.Tasks() {
		fmt.Fprintf(t, "%s\t\t%s\t%s\n", task.Name, seconds(task.Took), task.Reason)
		for _, s := range task.Steps {
			fmt.Fprintf(t, "\t%s\t%s\t%s\n", s.Name, seconds(s.Took), s.Reason)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, result := range r.Results() {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s=%s\n", result.Name, result.Value)
	}
	return nil
}

func watchRun(c *cli.Context) error {
	r, err := one(c)
	if err != nil {
		return err
	}
	s := newScreen(c.App.ErrWriter, r.Name, false)
	r, err = store().Follow(c.Context, r.Name, s.hear)
	s.close()
	if err != nil {
		return err
	}
	if err := report(c.App.Writer, s, r, false); err != nil {
		return err
	}
	if r.State != runner.StateSucceeded {
		return &ended{1}
	}
	return nil
}

func printLogs(c *cli.Context) error {
	r, err := one(c)
	if err != nil {
		return err
	}
	files, err := store().Logs(r.Name)
	if err != nil {
		return err
	}
	task, step := c.Args().Get(1), c.Args().Get(2)
	for _, file := range files {
		inTask, inStep := filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), ".log")
		if task != "" && inTask != task && inTask != r.Name+"-"+task || step != "" && inStep != step {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("logs of %s: %w", r.Name, err)
		}
		for line := range strings.Lines(string(text)) {
			if _, err := fmt.Fprintf(c.App.Writer, "[%s : %s] %s", strings.TrimPrefix(inTask, r.Name+"-"), inStep, whole(line)); err != nil {
				return err
			}
		}
	}
	return nil
}

// whole is a line with a newline at its end.
func whole(line string) string { return strings.TrimSuffix(line, "\n") + "\n" }

func deleteRuns(c *cli.Context) error {
	names := c.Args().Slice()
	if c.Bool("all") {
		list, err := store().List()
		if err != nil {
			return err
		}
		for _, r := range list {
			if r.State != runner.StateRunning {
				names = append(names, r.Name)
			}
		}
	} else if len(names) == 0 {
		return fault.Usage("InvalidArguments", fmt.Errorf("which run?"), "name it, or --all")
	}
	for _, name := range names {
		if err := store().Delete(name); err != nil {
			return err
		}
		fmt.Fprintf(c.App.Writer, "deleted %s\n", name)
	}
	return nil
}
