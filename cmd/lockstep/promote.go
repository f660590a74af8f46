package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

func promoteCommand() *cli.Command {
	return &cli.Command{
		Name:  "promote",
		Usage: "bring a version of an application into environments",
		UsageText: "lockstep promote [APPLICATION] --version VERSION (--env NAME … | --all-auto | --all)\n" +
			"lockstep promote --from ENVIRONMENT [--to NAME …] [--application NAME …]\n" +
			"lockstep promote --waiting [--env NAME …]",
		Description: "Each environment's repository gets one commit, or one pull request where environments.yaml says so. APPLICATION is the one whose chart is below charts/ of this folder when it is left out. " +
			"A version that is asked for with --env is set also where the environment has a higher one; with --all and --all-auto that one stays.\n\n" +
			"With --from, what that environment has verified last is promoted, all of it at once or the applications that are named; without --to, into those that are Auto and after it. " +
			"A higher version stays unless --allow-downgrade is given.\n\n" +
			"With --waiting, the gates of what waits are asked again.",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringSliceFlag{Name: "app", Aliases: []string{"a", "application"}, Usage: "`NAME` of the application, in the place of the argument; with --from, may be given several times"},
			&cli.StringFlag{Name: "version", Aliases: []string{"v"}, Usage: "`VERSION` to promote; without it, that of --version-file, or $VERSION"},
			&cli.StringFlag{Name: "version-file", Usage: "`FILE` that holds the version"},
			&cli.StringFlag{Name: "from", Usage: "`ENVIRONMENT` whose verified versions are promoted"},
			&cli.StringSliceFlag{Name: "to", Usage: "`NAME` of an environment that they are promoted to; may be given several times"},
			&cli.BoolFlag{Name: "waiting", Usage: "promote what waits and may go now"},
			&cli.BoolFlag{Name: "allow-downgrade", Usage: "with --from: set a version also where the environment has a higher one"},
			&cli.BoolFlag{Name: "add-missing", Usage: "add the application's chart to environments that do not have it, from --chart-repository"},
			&cli.StringFlag{Name: "chart-repository", Usage: "`URL` of the repository that environments take the chart from"},
			&cli.StringFlag{Name: "add-changelog", Usage: "`FILE` with the changes, one per line, for the commit's message"},
		}, placeFlags(), publicationFlags(), requestFlags(), waitFlags(), commitFlags()),
		Action:       promoteAction,
		OnUsageError: usageError,
	}
}

// placeFlags say which environments get a commit.
func placeFlags() []cli.Flag {
	return append(namedFlags(),
		&cli.BoolFlag{Name: "all-auto", Usage: "every environment whose promotion is Auto"},
		&cli.BoolFlag{Name: "all", Usage: "every environment but those whose promotion is Never"},
		&cli.StringFlag{Name: "alias", Usage: "`NAME` that the environments give the application's chart"},
		&cli.StringFlag{Name: "break-glass", Usage: "`REASON` to change an environment whose promotion is Never"},
	)
}

// commitFlags say how commits are made, whatever they are about.
func commitFlags() []cli.Flag {
	return []cli.Flag{
		environmentsFlag(),
		&cli.BoolFlag{Name: "dry-run", Usage: "print what would change, and change nothing"},
		&cli.StringFlag{Name: "signing-key", EnvVars: []string{"LOCKSTEP_SIGNING_KEY"}, Usage: "`FILE` with the SSH or OpenPGP private key that signs the commits"},
		&cli.StringFlag{Name: "signing-passphrase-file", EnvVars: []string{"LOCKSTEP_SIGNING_PASSPHRASE_FILE"}, Usage: "`FILE` with that key's passphrase"},
		&cli.DurationFlag{Name: "timeout", Aliases: []string{"t"}, Value: 5 * time.Minute, Usage: "how long all of it may take"},
		&cli.BoolFlag{Name: "batch-mode", Aliases: []string{"b"}, Usage: "never ask anything, which is so anyway"},
		outputFlag(),
	}
}

// waitFlags say how long a program goes on.
func waitFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "wait", Usage: "wait until it is deployed and verified, by the deployment records, as long as --timeout allows; ends with 4 where that failed"},
	}
}

// arrived waits for what was promoted, where that is asked for.
func arrived(ctx context.Context, c *cli.Context, everywhere promotion.Everywhere, results []promotion.Result) []promotion.Result {
	if !c.Bool("wait") || c.Bool("dry-run") || c.Bool("no-poll") {
		return results
	}
	return everywhere.Arrived(ctx, results)
}

// waitable refuses, before anything is promoted, to wait where that has no end.
func waitable(c *cli.Context, chosen ...environment.Environment) error {
	if !c.Bool("wait") {
		return nil
	}
	return promotion.OnRecord(chosen...)
}

func environmentsFlag() cli.Flag {
	return &cli.StringFlag{Name: "environments", Value: defaultEnvironments, EnvVars: []string{"LOCKSTEP_ENVIRONMENTS"}, Usage: "`FILE`, or URL of a Git repository with environments.yaml"}
}

// requestFlags say what becomes of pull requests.
func requestFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "no-poll", Usage: "do not wait for anything: pull requests are opened and left at that"},
		&cli.BoolFlag{Name: "no-merge", Usage: "leave pull requests to people, also with --auto-merge"},
		&cli.BoolFlag{Name: "auto-merge", Usage: "wait for pull requests and merge each as soon as it is ready"},
	}
}

// publicationFlags say how published charts are looked for.
func publicationFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "skip-chart-check", Usage: "do not look whether the chart is published"},
		&cli.DurationFlag{Name: "chart-timeout", Aliases: []string{"wait-for-chart"}, Usage: "how long to wait for the chart to be published; 0: not at all"},
		&cli.StringSliceFlag{Name: "insecure", Usage: "`HOST` or host:port of a chart registry that may be spoken to in plain HTTP, as loopback always may; may be given several times"},
	}
}

func promoteAction(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	way, err := wayOf(c)
	if err != nil {
		return err
	}
	everywhere, err := everywhereOf(ctx, c)
	if err != nil {
		return err
	}
	results, err := way(ctx, c, everywhere)
	if err != nil {
		return err
	}
	return announce(c, arrived(ctx, c, everywhere, results))
}

// announce prints what came of it; the error is what the program ends with.
func announce(c *cli.Context, results []promotion.Result) (err error) {
	if asJSON(c) {
		err = printJSON(c.App.Writer, results)
	} else {
		err = printResults(c.App.Writer, results)
	}
	return errors.Join(promotion.Err(results), err)
}

// way is one of the things that promote does.
type way func(context.Context, *cli.Context, promotion.Everywhere) ([]promotion.Result, error)

// wayOf finds out which one is asked for, and refuses flags of another.
func wayOf(c *cli.Context) (way, error) {
	ways := map[string]struct {
		do     way
		others []string // flags that mean nothing to it
	}{
		"version": {promoteVersion, []string{"to", "allow-downgrade"}},
		"from":    {promoteFrom, []string{"version", "version-file", "env", "all", "all-auto", "alias", "add-missing", "chart-repository"}},
		"waiting": {promoteWaiting, []string{"version", "version-file", "to", "all", "all-auto", "alias", "app", "from", "allow-downgrade", "chart-repository"}},
	}
	name := "version"
	switch {
	case c.Bool("waiting"):
		name = "waiting"
	case c.IsSet("from"):
		name = "from"
	}
	for _, flag := range ways[name].others {
		if c.IsSet(flag) {
			return nil, fault.Usage("InvalidArguments", fmt.Errorf("--%s means nothing %s", flag, map[string]string{
				"version": "without --from", "from": "with --from", "waiting": "with --waiting"}[name]), "lockstep promote --help")
		}
	}
	return ways[name].do, nil
}

// everywhereOf is what all ways have in common.
func everywhereOf(ctx context.Context, c *cli.Context) (promotion.Everywhere, error) {
	none := promotion.Everywhere{}
	changelog, err := fileOf(c.String("add-changelog"))
	if err != nil {
		return none, err
	}
	open := opener(c)
	key, err := signingKey(c)
	if err != nil {
		return none, err
	}
	known, err := promotion.Environments(ctx, c.String("environments"), defaultEnvironments, "", open)
	if err != nil {
		return none, err
	}
	by, err := author(ctx, c)
	if err != nil {
		return none, err
	}
	p := promotion.Promotion{
		Changelog: changelog, BreakGlass: c.String("break-glass"), Patience: c.Duration("timeout"),
		Author: by, Committer: committer(), Key: key,
	}
	if !c.Bool("skip-chart-check") {
		client, err := registry.New(registry.Access{DockerConfig: registry.FindDockerConfig("", ""), Insecure: c.StringSlice("insecure")})
		if err != nil {
			return none, err
		}
		p.Published = (&registry.Publications{Client: client, Patience: c.Duration("chart-timeout")}).Await
	}
	return promotion.Everywhere{Promotion: p, Known: known, Open: open, DryRun: c.Bool("dry-run"), PullRequests: pullRequestsOf(c)}, nil
}

// opener reaches repositories with the credentials that git would use.
func opener(c *cli.Context) func(url string) (*git.Remote, error) {
	access := git.Access{RetryFor: c.Duration("timeout"), Connections: &git.Connections{}}
	return func(url string) (*git.Remote, error) { return git.NewRemote(url, access) }
}

// pullRequestsOf: who merges waits until that is done. Of flags that contradict
// each other, which jx promote takes, the careful one counts.
func pullRequestsOf(c *cli.Context) promotion.PullRequests {
	if !c.Bool("auto-merge") || c.Bool("no-merge") || c.Bool("no-poll") {
		return promotion.PullRequests{}
	}
	return promotion.PullRequests{Merge: true, Wait: c.Duration("timeout")}
}

func promoteVersion(ctx context.Context, c *cli.Context, everywhere promotion.Everywhere) ([]promotion.Result, error) {
	application, err := applicationOf(c)
	if err != nil {
		return nil, err
	}
	version, err := versionOf(c)
	if err != nil {
		return nil, err
	}
	chosen, err := environmentsOf(c, everywhere.Known)
	if err != nil {
		return nil, err
	}
	everywhere.Application, everywhere.Version = application, version
	everywhere.Exact, everywhere.ByName = c.IsSet("env"), c.IsSet("env")
	everywhere.Add = c.Bool("add-missing")
	if everywhere.Chart, err = chartOf(c, application); err != nil {
		return nil, err
	}
	if err := waitable(c, chosen...); err != nil {
		return nil, err
	}
	return everywhere.Promote(ctx, chosen), nil
}

func chartOf(c *cli.Context, application string) (edit.Selector, error) {
	return promotion.ChartOf(application, edit.Selector{Alias: c.String("alias"), Repository: c.String("chart-repository")}, c.Bool("add-missing"))
}

func promoteFrom(ctx context.Context, c *cli.Context, everywhere promotion.Everywhere) ([]promotion.Result, error) {
	from, err := everywhere.Known.Find(c.String("from"))
	if err != nil {
		return nil, err
	}
	chosen := everywhere.Known.Following(from.Name)
	if c.IsSet("to") {
		if chosen, err = everywhere.Known.Named(c.String("break-glass"), c.StringSlice("to")...); err != nil {
			return nil, err
		}
	}
	if err := waitable(c, chosen...); err != nil {
		return nil, err
	}
	everywhere.Exact = c.Bool("allow-downgrade")
	return everywhere.Follow(ctx, from, append(c.StringSlice("app"), c.Args().Slice()...), chosen)
}

func promoteWaiting(ctx context.Context, c *cli.Context, everywhere promotion.Everywhere) ([]promotion.Result, error) {
	if c.NArg() > 0 {
		return nil, fault.Usage("InvalidArguments", fmt.Errorf("--waiting is about all applications, not only %q", c.Args().First()), "lockstep promote --help")
	}
	chosen := everywhere.Known.InOrder()
	if c.IsSet("env") {
		var err error
		if chosen, err = everywhere.Known.Named(c.String("break-glass"), c.StringSlice("env")...); err != nil {
			return nil, err
		}
	}
	if err := waitable(c, chosen...); err != nil {
		return nil, err
	}
	everywhere.Add = c.Bool("add-missing")
	return everywhere.Reopen(ctx, chosen), nil
}

// signingKey is the key that signs, nil without one.
func signingKey(c *cli.Context) (*signature.Key, error) {
	if !c.IsSet("signing-key") {
		return nil, nil
	}
	return signature.Open(c.String("signing-key"), c.String("signing-passphrase-file"))
}

// author is the person at the keyboard. Who only looks need not be known.
func author(ctx context.Context, c *cli.Context) (git.Signature, error) {
	if c.Bool("dry-run") {
		return git.Lockstep, nil
	}
	return git.Person(ctx)
}

// committer is whom git's variables name; without them, Lockstep.
func committer() git.Signature {
	return git.Signature{
		Name:  cmp.Or(os.Getenv("GIT_COMMITTER_NAME"), git.Lockstep.Name),
		Email: cmp.Or(os.Getenv("GIT_COMMITTER_EMAIL"), git.Lockstep.Email),
	}
}

func applicationOf(c *cli.Context) (string, error) {
	names := append(c.StringSlice("app"), c.Args().Slice()...)
	if n := len(names); n > 1 {
		return "", fault.Usage("InvalidArguments", fmt.Errorf("promote takes one APPLICATION, not also %q", names[n-1]), "lockstep promote --help")
	}
	if len(names) == 1 && names[0] != "" {
		return names[0], nil
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
	if len(results) == 0 {
		_, err := fmt.Fprintln(out, "nothing to do")
		return err
	}
	several := slices.ContainsFunc(results, func(r promotion.Result) bool { return r.Application != results[0].Application })
	t := table{head: []string{"ENVIRONMENT", "APPLICATION", "VERSION", "OUTCOME", "COMMIT", ""}}
	for _, r := range results {
		outcome := string(r.Outcome)
		if r.DryRun {
			outcome += " (dry run)"
		}
		if !several {
			r.Application, r.Version = "", "" // who asks knows
		}
		t.add(r.Environment, r.Application, r.Version, outcome, r.Commit.Short(), cmp.Or(r.Reason, r.URL))
	}
	if err := t.print(out, "text"); err != nil {
		return err
	}
	for _, r := range results {
		if r.Diff != "" {
			if _, err := fmt.Fprintf(out, "\n# %s at %s\n%s", r.Environment, r.Commit.Short(), r.Diff); err != nil {
				return err
			}
		}
	}
	return nil
}
