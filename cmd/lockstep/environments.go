package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// defaultEnvironments is the file that is meant when none is named.
const defaultEnvironments = "environments.yaml"

func environmentsCommand() *cli.Command {
	c := group("environments", "look at a file of environments", &cli.Command{
		Name: "check", Usage: "find what is wrong with a file of environments, and show what it says", ArgsUsage: "[FILE|-]",
		Description: "FILE is " + defaultEnvironments + " when it is left out, and - is standard input. " +
			"Environments are listed in promotion order. Repositories are not looked into: nothing is read but the file.",
		Flags: []cli.Flag{outputFlag()}, Action: checkEnvironments, OnUsageError: usageError,
	})
	c.Aliases = []string{"env"}
	return c
}

func checkEnvironments(c *cli.Context) error {
	if c.NArg() > 1 {
		return fault.Usage("InvalidArguments", fmt.Errorf("check takes one FILE, not %d", c.NArg()), "")
	}
	file, err := readEnvironments(cmp.Or(c.Args().First(), defaultEnvironments))
	if err != nil {
		return err
	}
	if asJSON(c) {
		return printJSON(c.App.Writer, file)
	}
	return printEnvironments(c.App.Writer, file)
}

func readEnvironments(name string) (*environment.Environments, error) {
	if name == "-" {
		return environment.Read("stdin", os.Stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fault.Usage("FileNotRead", err, "Name the file: lockstep environments check FILE; - is standard input.")
	}
	defer file.Close()
	return environment.Read(name, file)
}

func printEnvironments(w io.Writer, file *environment.Environments) error {
	t := table{head: []string{"NAME", "STRATEGY", "DELIVERY", "AFTER", "GATES"}}
	for _, e := range file.InOrder() {
		t.add(e.Name, string(e.Promotion), string(e.Delivery), orNone(strings.Join(e.After, ", ")), orNone(gates(e)))
	}
	return t.print(w, "text")
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
