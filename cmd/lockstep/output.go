package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// outputFlag is that of every command that prints for people or for programs.
func outputFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` of what is printed: text or json",
		Action: func(_ *cli.Context, format string) error {
			if format != "text" && format != "json" {
				return fault.Usage("InvalidArguments", fmt.Errorf("--output: %q is neither text nor json", format), "")
			}
			return nil
		},
	}
}

func asJSON(c *cli.Context) bool { return c.String("output") == "json" }

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
