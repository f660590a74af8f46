package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// defaultEnvironments is the file that is meant when none is named.
const defaultEnvironments = "environments.yaml"

func environmentsCommand() *cli.Command {
	return &cli.Command{
		Name:         "environments",
		Aliases:      []string{"env"},
		Usage:        "look at a file of environments",
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fault.Usage("UnknownCommand", fmt.Errorf("there is no command environments %q", c.Args().First()), "lockstep environments --help lists the commands")
			}
			return cli.ShowSubcommandHelp(c)
		},
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "find what is wrong with a file of environments, and show what it says", ArgsUsage: "[FILE|-]",
				Description: "FILE is " + defaultEnvironments + " when it is left out, and - is standard input. " +
					"Environments are listed in promotion order. Repositories are not looked into: nothing is read but the file.",
				Flags: []cli.Flag{outputFlag()}, Action: checkEnvironments, OnUsageError: usageError,
			},
		},
	}
}

func checkEnvironments(c *cli.Context) error {
	if c.NArg() > 1 {
		return fault.Usage("InvalidArguments", fmt.Errorf("check takes one FILE, not %d", c.NArg()), "")
	}
	format := c.String("output")
	if format != "text" && format != "json" {
		return fault.Usage("InvalidArguments", fmt.Errorf("--output: %q is neither text nor json", format), "")
	}
	name := c.Args().First()
	if name == "" {
		name = defaultEnvironments
	}
	name, text, err := readEnvironments(name)
	if err != nil {
		return err
	}
	file, err := environment.Parse(name, text)
	if err != nil {
		return err
	}
	if format == "json" {
		return printJSON(c.App.Writer, file)
	}
	return printEnvironments(c.App.Writer, file)
}

// readEnvironments reads no more than a byte over what Parse takes, and gives
// the name for messages.
func readEnvironments(name string) (string, []byte, error) {
	in, shown := io.Reader(os.Stdin), "stdin"
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", nil, fault.Usage("FileNotRead", err, "Name the file: lockstep environments check FILE; - is standard input.")
		}
		defer file.Close()
		in, shown = file, name
	}
	text, err := io.ReadAll(io.LimitReader(in, environment.MaxSize+1))
	if err != nil {
		return "", nil, fault.Usage("FileNotRead", fmt.Errorf("read %s: %w", shown, err), "")
	}
	return shown, text, nil
}

func printEnvironments(w io.Writer, file *environment.Environments) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTRATEGY\tDELIVERY\tAFTER\tGATES")
	for _, e := range file.InOrder() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", e.Name, e.Promotion, e.Delivery, orNone(strings.Join(e.After, ", ")), orNone(gates(e)))
	}
	return t.Flush()
}

// gates says in words when a version gets in; what it waits for is in another column.
func gates(e environment.Environment) string {
	var words []string
	if e.Frozen {
		words = append(words, "frozen")
	}
	if e.Soak > 0 {
		words = append(words, "soaks "+e.Soak.String())
	}
	if len(e.Windows) > 0 {
		windows := make([]string, len(e.Windows))
		for i, w := range e.Windows {
			windows[i] = w.String()
		}
		words = append(words, strings.Join(windows, " or "))
	}
	return strings.Join(words, "; ")
}

func orNone(text string) string {
	if text == "" {
		return "---"
	}
	return text
}
