// Command promote brings one version of an application into all eligible
// environments at the same time, each by one commit, without a checkout.
package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Application     string        `param:"application" desc:"Name of the application, for trailers and, without name and alias, of its chart. Required, but with waiting and from; with from, the only one that is promoted, as the environments name it. Example: user-service"`
	Version         string        `param:"version" desc:"Version to promote: a semantic version. Required, but with waiting and from. Example: 2.3.119"`
	Waiting         bool          `param:"waiting" desc:"Whether to ask the gates of what waits again, and to promote what may go now, in the place of a version."`
	From            string        `param:"from" desc:"Environment whose verified versions are promoted, in the place of one version. Where its last deployment failed and environments.yaml says rollback: Auto, it goes back to what was verified. Example: staging"`
	Environments    string        `param:"environments" desc:"Where environments.yaml is: a file, or the URL of a Git repository. Required, but with from: where it is empty, nothing follows. Example: https://git.example.com/acme/environments"`
	File            string        `param:"environments-file" default:"environments.yaml" desc:"The file's path in the Git repository."`
	Revision        string        `param:"environments-revision" desc:"Branch or tag of that repository. Empty: its default branch."`
	Only            []string      `param:"environment" desc:"Environments to promote into, one name per line. Empty: every one whose promotion is Auto; with waiting, every one; with from, those that are after it and Auto, and what waits there."`
	Name            string        `param:"name" desc:"Name of the application's chart. Empty: the application's, unless alias is given."`
	Alias           string        `param:"alias" desc:"Alias of the chart in the environments, where several have one name. Example: user"`
	ChartRepository string        `param:"chart-repository" desc:"Repository of the chart as the environments have it, where name and alias do not say which."`
	Add             bool          `param:"add-missing" desc:"Whether to add the chart, by name and from chart-repository, to environments whose chart does not have it. Otherwise they are refused."`
	Downgrade       bool          `param:"allow-downgrade" desc:"Whether to set a version that is lower than the environment's. Otherwise that one stays and the outcome is superseded."`
	BreakGlass      string        `param:"break-glass" desc:"Why an environment whose promotion is Never is promoted all the same; recorded in the commit. Example: INC-4711"`
	Changelog       string        `param:"changelog" desc:"Subjects of the application's commits, one per line; the first 20 go into the message."`
	Source          string        `param:"source" desc:"Repository and commit that the version was built from. Example: https://git.example.com/acme/user-service@<40 hex digits>"`
	AutoMerge       bool          `param:"auto-merge" desc:"Whether to wait for pull requests, as long as timeout allows, and merge each as soon as its forge finds it ready. Otherwise they are opened, and a person merges them."`
	Timeout         time.Duration `param:"timeout" default:"5m" desc:"How long all of it may take, races with others included. Example: 10m"`

	promotion.Means

	Outcomes string `result:"outcomes" desc:"JSON list of {environment, outcome, commit}, and application where there are several; of more than eight, the counts of the rest come last. Empty: there was nothing to do. Outcomes: promoted, unchanged, superseded, waiting, opened, rolled-back, refused, failed."`
}

// growth is how far the heap may grow before it is collected, in percent of what
// lives. Many promotions run at the same time on one node, each for a moment, and
// what counts there is their memory. So does the processor's time: a promotion
// mostly waits for servers, and collecting on one core takes a fifth less of it
// than sharing that out.
const growth = 25

func main() {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(growth)
	step.Main("promote", "promote a version into all eligible environments", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := c.check(); err != nil {
		return err
	}
	if c.Environments == "" {
		slog.InfoContext(ctx, "nothing follows: environments is not given", "from", c.From)
		return nil
	}
	open := c.Opener(c.Timeout)
	known, err := promotion.Environments(ctx, c.Environments, c.File, c.Revision, open)
	if err != nil {
		return err
	}
	results, err := c.promote(ctx, known, open)
	if err != nil {
		return err
	}
	c.Outcomes = promotion.Outcomes(results)
	err = promotion.Err(results)
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Retryable("Timeout", err, "What was promoted stays. Try again, or raise timeout.")
	}
	return err
}

// check refuses parameters that do not say together what is to be promoted.
func (c *config) check() error {
	if err := forge.Method(c.MergeMethod).Check(); err != nil {
		return err
	}
	ways := 0
	for _, way := range []bool{c.Waiting, c.From != "", c.Version != ""} {
		if way {
			ways++
		}
	}
	switch {
	case ways != 1:
		return fault.Usage("InvalidParameter", errors.New("give one of version, from and waiting"), "")
	case c.Version == "" && c.From == "" && c.Application != "":
		return fault.Usage("InvalidParameter", errors.New("waiting is about all applications: leave application out"), "")
	case c.Version != "" && c.Application == "":
		return fault.Usage("InvalidParameter", errors.New("parameter application is required with version"), "")
	case c.Environments == "" && c.From == "":
		return fault.Usage("InvalidParameter", errors.New("parameter environments is required"), "Give a file, or the URL of a Git repository.")
	case c.Version == "":
		return nil
	}
	_, err := c.chart()
	return errors.Join(err, edit.CheckVersion(c.Version))
}

// chart is what a version is promoted of.
func (c *config) chart() (edit.Selector, error) {
	return promotion.ChartOf(c.Application, edit.Selector{Name: c.Name, Alias: c.Alias, Repository: c.ChartRepository}, c.Add && c.Version != "")
}

func (c *config) promote(ctx context.Context, known *environment.Environments, open opener) ([]promotion.Result, error) {
	everywhere, err := c.everywhere(known, open)
	if err != nil {
		return nil, err
	}
	everywhere.Tell = func(r promotion.Result) { c.say(ctx, r) }
	var chosen []environment.Environment
	if len(c.Only) > 0 {
		if chosen, err = known.Named(c.BreakGlass, c.Only...); err != nil {
			return nil, err
		}
	}
	switch {
	case c.Waiting && chosen == nil:
		return everywhere.Reopen(ctx, known.InOrder()), nil
	case c.Waiting:
		return everywhere.Reopen(ctx, chosen), nil
	case c.From != "":
		return c.follow(ctx, everywhere, chosen)
	case chosen == nil:
		chosen = known.Auto()
	}
	return everywhere.Promote(ctx, chosen), nil
}

// follow promotes what another environment has verified.
func (c *config) follow(ctx context.Context, everywhere promotion.Everywhere, chosen []environment.Environment) ([]promotion.Result, error) {
	from, err := everywhere.Known.Find(c.From)
	if err != nil {
		return nil, err
	}
	if chosen == nil && c.Application == "" {
		return everywhere.Onward(ctx, from)
	}
	var applications []string
	if c.Application != "" {
		applications = []string{c.Application}
	}
	if chosen == nil {
		chosen = everywhere.Known.Following(c.From)
	}
	return everywhere.Follow(ctx, from, applications, chosen)
}

// opener reaches a repository.
type opener = func(url string) (*git.Remote, error)

func (c *config) everywhere(known *environment.Environments, open opener) (promotion.Everywhere, error) {
	chart, err := c.chart()
	if err != nil {
		return promotion.Everywhere{}, err
	}
	p, err := c.Promotion(c.Timeout)
	if err != nil {
		return promotion.Everywhere{}, err
	}
	p.Application, p.Chart, p.Version, p.Add, p.Exact = c.Application, chart, c.Version, c.Add, c.Downgrade
	p.Changelog, p.Source, p.BreakGlass = c.Changelog, c.Source, c.BreakGlass
	return promotion.Everywhere{Promotion: p, Known: known, Open: open, PullRequests: c.PullRequests(c.AutoMerge, c.Timeout)}, nil
}

func (c *config) say(ctx context.Context, r promotion.Result) {
	details := []any{"environment", r.Environment}
	if r.Application != "" {
		details = append(details, "application", r.Application, "version", r.Version)
	}
	if r.URL != "" {
		details = append(details, "url", r.URL)
	}
	switch {
	case r.Err != nil:
		slog.ErrorContext(ctx, string(r.Outcome), append(details, "error", r.Err)...)
	case r.Reason != "":
		slog.InfoContext(ctx, string(r.Outcome), append(details, "for", r.Reason)...)
	default:
		slog.InfoContext(ctx, string(r.Outcome), append(details, "commit", r.Commit.Short())...)
	}
}
