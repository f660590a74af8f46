package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/registry"
)

func promoteCommand() *cli.Command {
	return &cli.Command{
		Name:      "promote",
		Usage:     "bring a version of an application into environments",
		UsageText: "lockstep promote [APPLICATION] --version VERSION (--env NAME … | --all-auto | --all)",
		Description: "Each environment's repository gets one commit. APPLICATION is the one whose chart is below charts/ of this folder when it is left out. " +
			"A version that is asked for with --env is set also where the environment has a higher one; with --all and --all-auto that one stays.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "app", Aliases: []string{"a"}, Usage: "`NAME` of the application, in the place of the argument"},
			&cli.StringFlag{Name: "version", Aliases: []string{"v"}, Usage: "`VERSION` to promote; without it, that of --version-file, or $VERSION"},
			&cli.StringFlag{Name: "version-file", Usage: "`FILE` that holds the version"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "`NAME` of an environment; may be given several times"},
			&cli.BoolFlag{Name: "all-auto", Usage: "every environment whose promotion is Auto"},
			&cli.BoolFlag{Name: "all", Usage: "every environment but those whose promotion is Never"},
			&cli.StringFlag{Name: "alias", Usage: "`NAME` that the environments give the application's chart"},
			&cli.StringFlag{Name: "environments", Value: defaultEnvironments, EnvVars: []string{"LOCKSTEP_ENVIRONMENTS"}, Usage: "`FILE`, or URL of a Git repository with environments.yaml"},
			&cli.StringFlag{Name: "add-changelog", Usage: "`FILE` with the changes, one per line, for the commit's message"},
			&cli.StringFlag{Name: "break-glass", Usage: "`REASON` to promote into an environment whose promotion is Never"},
			&cli.BoolFlag{Name: "skip-chart-check", Usage: "do not look whether the chart is published"},
			&cli.DurationFlag{Name: "timeout", Aliases: []string{"t"}, Value: 5 * time.Minute, Usage: "how long all of it may take"},
			&cli.BoolFlag{Name: "batch-mode", Aliases: []string{"b"}, Usage: "never ask anything, which is so anyway"},
			&cli.BoolFlag{Name: "no-poll", Usage: "do not wait for what follows the commit, which is so anyway"},
			&cli.BoolFlag{Name: "no-merge", Usage: "for pull requests, which no environment may take yet"},
			&cli.BoolFlag{Name: "auto-merge", Usage: "for pull requests, which no environment may take yet"},
			outputFlag(),
		},
		Action:       promoteAction,
		OnUsageError: usageError,
	}
}

func promoteAction(c *cli.Context) error {
	everywhere, chosen, err := promotionOf(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	results := everywhere.Promote(ctx, chosen)
	if asJSON(c) {
		err = printJSON(c.App.Writer, results)
	} else {
		err = printResults(c.App.Writer, results)
	}
	return errors.Join(promotion.Err(results), err)
}

// promotionOf is what the command line asks for; nothing is written yet.
func promotionOf(c *cli.Context) (promotion.Everywhere, []environment.Environment, error) {
	none := promotion.Everywhere{}
	application, err := applicationOf(c)
	if err != nil {
		return none, nil, err
	}
	version, err := versionOf(c)
	if err != nil {
		return none, nil, err
	}
	changelog, err := fileOf(c.String("add-changelog"))
	if err != nil {
		return none, nil, err
	}
	open := func(url string) (*git.Remote, error) {
		return git.NewRemote(url, git.Access{RetryFor: c.Duration("timeout")})
	}
	known, err := promotion.Environments(c.Context, c.String("environments"), defaultEnvironments, "", open)
	if err != nil {
		return none, nil, err
	}
	chosen, err := environmentsOf(c, known)
	if err != nil {
		return none, nil, err
	}
	p := promotion.Promotion{
		Application: application, Chart: edit.Selector{Name: application}, Version: version, Exact: c.IsSet("env"),
		Changelog: changelog, BreakGlass: c.String("break-glass"), Patience: c.Duration("timeout"),
		Author: author(), Committer: author(),
	}
	if alias := c.String("alias"); alias != "" {
		p.Chart = edit.Selector{Alias: alias}
	}
	if !c.Bool("skip-chart-check") {
		client, err := registry.New(registry.Access{DockerConfig: registry.FindDockerConfig("", "")})
		if err != nil {
			return none, nil, err
		}
		p.Published = (&registry.Publications{Client: client, Patience: c.Duration("timeout")}).Await
	}
	return promotion.Everywhere{Promotion: p, Known: known, Open: open}, chosen, nil
}

// author is whom git's variables name; without them, Lockstep.
func author() git.Signature {
	return git.Signature{
		Name:  cmp.Or(os.Getenv("GIT_AUTHOR_NAME"), "Lockstep"),
		Email: cmp.Or(os.Getenv("GIT_AUTHOR_EMAIL"), "lockstep@lockstep.dev"),
	}
}

func applicationOf(c *cli.Context) (string, error) {
	if n := c.NArg(); n > 1 || n == 1 && c.IsSet("app") {
		return "", fault.Usage("InvalidArguments", fmt.Errorf("promote takes one APPLICATION, not also %q", c.Args().Get(n-1)), "lockstep promote --help")
	}
	if name := cmp.Or(c.Args().First(), c.String("app")); name != "" {
		return name, nil
	}
	charts, err := filepath.Glob("charts/*/Chart.yaml")
	if err != nil || len(charts) != 1 {
		return "", fault.Usage("InvalidArguments", errors.New("which application? This folder does not tell: it has no single chart below charts/"), "lockstep promote APPLICATION --version …")
	}
	return filepath.Base(filepath.Dir(charts[0])), nil
}

func versionOf(c *cli.Context) (string, error) {
	inFile, err := fileOf(c.String("version-file"))
	if err != nil {
		return "", err
	}
	version := cmp.Or(c.String("version"), strings.TrimSpace(inFile), os.Getenv("VERSION"))
	if version == "" {
		return "", fault.Usage("InvalidArguments", errors.New("which version? Give --version, --version-file or $VERSION"), "")
	}
	return version, edit.CheckVersion(version)
}

// maxText bounds the files that the command line names, in bytes.
const maxText = 1 << 20

func fileOf(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fault.Usage("FileNotRead", err, "")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return "", fault.Usage("FileNotRead", err, "")
	}
	return string(text), nil
}

func environmentsOf(c *cli.Context, known *environment.Environments) ([]environment.Environment, error) {
	ways := 0
	for _, name := range []string{"env", "all-auto", "all"} {
		if c.IsSet(name) {
			ways++
		}
	}
	switch {
	case ways != 1:
		return nil, fault.Usage("InvalidArguments", errors.New("where to? Give one of --env NAME, --all-auto and --all"), "lockstep environments check lists the environments")
	case c.Bool("all"):
		return known.AutoAndManual(), nil
	case c.Bool("all-auto"):
		return known.Auto(), nil
	}
	return known.Named(c.String("break-glass"), c.StringSlice("env")...)
}

func printResults(out io.Writer, results []promotion.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENVIRONMENT\tOUTCOME\tCOMMIT\t")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Environment, r.Outcome, r.Commit.Short(), r.Reason)
	}
	return w.Flush()
}
