// Command lockstep is the program for people: it promotes versions, runs
// pipelines on this machine and looks at the runs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/step"
)

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// run returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := step.WithSignals(context.Background())
	defer stop()
	err := application(stdout, stderr).RunContext(ctx, intermixed(args))
	var ended *ended
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended):
		if ctx.Err() != nil {
			return step.ExitCode(ctx, err)
		}
		return ended.code
	}
	step.Explain(stderr, "lockstep", fault.Of(err))
	return step.ExitCode(ctx, err)
}

// ended is a run that was shown already: only its code is left.
type ended struct{ code int }

func (e *ended) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// usageError is what cli refuses by itself: an unknown flag, a flag without its
// value. It keeps cli from printing the whole help in front of the error.
func usageError(_ *cli.Context, err error, _ bool) error {
	return fault.Usage("InvalidArguments", err, "lockstep --help lists the commands")
}

func application(stdout, stderr io.Writer) *cli.App {
	return &cli.App{
		Name:                      "lockstep",
		Usage:                     "environments in lockstep with Git",
		Version:                   step.Version(),
		Commands:                  []*cli.Command{promoteCommand(), removeCommand(), rollbackCommand(), holdCommand(), rejectCommand(), releaseCommand(), getCommand(), diffCommand(), logCommand(), logsCommand(), createCommand(), addCommand(), editCommand(), deleteCommand(), reconcileCommand(), runCommand(), runsCommand(), localCommand(), environmentsCommand(), versionCommand()},
		EnableBashCompletion:      true,
		DisableSliceFlagSeparator: true,
		Suggest:                   true,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		OnUsageError:              usageError,
		ExitErrHandler:            func(*cli.Context, error) {}, // only main exits
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fault.Usage("UnknownCommand", fmt.Errorf("there is no command %q", c.Args().First()), "lockstep --help lists the commands")
			}
			return cli.ShowAppHelp(c)
		},
	}
}

// group is a command that has only others below it.
func group(name, usage string, below ...*cli.Command) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, Subcommands: below, OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fault.Usage("UnknownCommand", fmt.Errorf("there is no command %s %q", name, c.Args().First()), "lockstep "+name+" --help lists the commands")
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}
