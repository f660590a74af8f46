package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/step"
)

// build says what a program was built from.
type build struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	Modified  bool   `json:"modified,omitempty"` // files differed from the commit
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version, the commit and the Go version", Flags: []cli.Flag{outputFlag()},
		OnUsageError: usageError, Action: printVersion,
	}
}

func printVersion(c *cli.Context) error {
	if c.Args().Present() {
		return fault.Usage("InvalidArguments", fmt.Errorf("version takes no %q", c.Args().First()), "lockstep version -o json prints JSON")
	}
	b := thisBuild()
	if asJSON(c) {
		return printJSON(c.App.Writer, b)
	}
	commit := b.Commit
	if commit == "" {
		commit = "unknown"
	}
	_, err := fmt.Fprintf(c.App.Writer, "version: %s\ncommit: %s\ngo: %s\nplatform: %s\n", b.Version, commit, b.GoVersion, b.Platform)
	return err
}

// thisBuild reads what the go command left in the program.
func thisBuild() build {
	b := build{Version: step.Version(), GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
