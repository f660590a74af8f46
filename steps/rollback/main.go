// Command rollback brings back what an environment had: an earlier version of one
// application, or all of its files, by one commit, and holds it there.
package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Environment  string        `param:"environment" required:"true" desc:"Environment that goes back. Example: production"`
	Application  string        `param:"application" desc:"Application that goes back, by the environment's name for it or its chart's. Empty: all files of the environment do. Example: user-service"`
	To           string        `param:"to" default:"last-verified" desc:"A version of the application; a commit of the environment's repository, at least 7 hex digits; or last-verified: what was verified last and differs from what is there. Example: 2.3.118"`
	Reason       string        `param:"reason" desc:"Why, in one line, for the commit and for whoever meets the hold. Example: INC-4711"`
	NoHold       bool          `param:"no-hold" desc:"Whether automatic promotions go on. Otherwise what goes back is held, until lockstep release."`
	Environments string        `param:"environments" required:"true" desc:"Where environments.yaml is: a file, or the URL of a Git repository. Example: https://git.example.com/acme/environments"`
	File         string        `param:"environments-file" default:"environments.yaml" desc:"The file's path in the Git repository."`
	Revision     string        `param:"environments-revision" desc:"Branch or tag of that repository. Empty: its default branch."`
	AutoMerge    bool          `param:"auto-merge" desc:"Whether to wait for a pull request, as long as timeout allows, and merge it as soon as its forge finds it ready."`
	Timeout      time.Duration `param:"timeout" default:"5m" desc:"How long all of it may take. Example: 10m"`

	promotion.Means

	Commit  string `result:"commit" desc:"The 40-hex commit that the branch got, or its tip where nothing was to be done; of a pull request, what it proposes."`
	Version string `result:"version" desc:"The version that comes back. Empty for a whole environment."`
	Outcome string `result:"outcome" desc:"rolled-back, unchanged, or opened (a pull request)."`
}

func main() {
	step.Main("rollback", "bring back what an environment had, and hold it there", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := forge.Method(c.MergeMethod).Check(); err != nil {
		return err
	}
	open := c.Opener(c.Timeout)
	known, err := promotion.Environments(ctx, c.Environments, c.File, c.Revision, open)
	if err != nil {
		return err
	}
	env, err := known.Find(c.Environment)
	if err != nil {
		return err
	}
	p, err := c.Promotion(c.Timeout)
	if err != nil {
		return err
	}
	p.Application, p.Chart = c.Application, edit.Selector{Name: c.Application}
	if !c.NoHold {
		p.Hold = promotion.NewHold(c.Reason, p.Author)
	}
	results, err := promotion.Everywhere{Promotion: p, Known: known, Open: open, PullRequests: c.PullRequests(c.AutoMerge, c.Timeout)}.RollBack(ctx, env, c.To)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err == nil {
			slog.InfoContext(ctx, string(r.Outcome), "environment", r.Environment, "application", r.Application, "version", r.Version, "commit", r.Commit.Short(), "url", r.URL)
		}
	}
	c.Outcome, c.Commit = string(results[0].Outcome), string(results[0].Commit)
	if c.Application == "" && results[0].Outcome == promotion.Removed {
		c.Outcome = string(promotion.RolledBack)
	}
	if c.Application != "" {
		c.Version = results[0].Version
	}
	return promotion.Err(results)
}
