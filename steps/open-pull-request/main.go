// Command open-pull-request proposes one version of an application to one
// environment: a branch with the edit, and a pull request from there.
package main

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
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
	Application     string        `param:"application" required:"true" desc:"Name of the application, for title and trailers and, without name and alias, of its chart. Example: user-service"`
	Version         string        `param:"version" required:"true" desc:"Version to propose: a semantic version. Example: 2.3.119"`
	URL             string        `param:"url" required:"true" desc:"Repository of the environment. Example: https://git.example.com/acme/environment-staging.git"`
	Environment     string        `param:"environment" required:"true" desc:"Name of the environment, for branch, label and trailers. Example: staging"`
	Branch          string        `param:"branch" desc:"Branch that the request goes into. Empty: the repository's default branch."`
	Path            string        `param:"path" default:"." desc:"Folder of Chart.yaml, or that file counts from, from the repository's root."`
	File            string        `param:"file" desc:"File that has the versions in the place of a chart: a kustomization, HelmRelease, OCIRepository, Argo CD Application or helmfile. {application} stands for the application's name. Example: apps/{application}.yaml"`
	ValuePath       string        `param:"value-path" desc:"Place of the version in file, where it is none of these. Example: .{application}.image.tag"`
	Name            string        `param:"name" desc:"Name of the application's chart. Empty: the application's, unless alias is given."`
	Alias           string        `param:"alias" desc:"Alias of the chart in the environment, where several have one name. Example: user"`
	ChartRepository string        `param:"chart-repository" desc:"Repository of the chart as the environment has it, where name and alias do not say which."`
	Add             bool          `param:"add-missing" desc:"Whether to add the chart, by name and from chart-repository, where the environment's chart does not have it."`
	Downgrade       bool          `param:"allow-downgrade" desc:"Whether to propose a version that is lower than the environment's. Otherwise the outcome is superseded."`
	Changelog       string        `param:"changelog" desc:"Subjects of the application's commits, one per line; the first 20 go into the request's text."`
	Source          string        `param:"source" desc:"Repository and commit that the version was built from. Example: https://git.example.com/acme/user-service@<40 hex digits>"`
	AutoMerge       bool          `param:"auto-merge" desc:"Whether to merge the request as soon as its forge finds it ready. Without wait, as long as timeout allows."`
	Wait            time.Duration `param:"wait" default:"0s" desc:"How long to wait until the request is merged, by whomever. 0s: it is opened and left at that, unless auto-merge. Example: 30m"`
	Timeout         time.Duration `param:"timeout" default:"5m" desc:"How long all of it may take, besides wait. Example: 10m"`

	promotion.Means

	Outcome string `result:"outcome" desc:"opened, promoted (it was merged), unchanged or superseded (the branch has the version or a higher one, or a newer one is proposed), or waiting: it is held, and stands in refs/lockstep/waiting until that ends."`
	Request string `result:"url" desc:"Address of the pull request. Empty where there is none."`
	Number  string `result:"number" desc:"Its number."`
	Merged  string `result:"merged-commit" desc:"The 40-hex commit that the branch got. Empty while the request is open."`
}

func main() {
	step.Main("open-pull-request", "propose a version to an environment as a pull request", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout+c.Wait)
	defer cancel()
	if c.ValuePath != "" && c.File == "" {
		return fault.Usage("InvalidParameter", errors.New("value-path needs file"), "It is a place in that file.")
	}
	if err := errors.Join(edit.CheckVersion(c.Version), forge.Method(c.MergeMethod).Check()); err != nil {
		return err
	}
	remote, err := git.NewRemote(c.URL, c.Access(c.Timeout))
	if err != nil {
		return err
	}
	p, err := c.promotion()
	if err != nil {
		return err
	}
	target := promotion.Target{Environment: c.Environment, Remote: remote, Branch: c.Branch, Path: c.Path, File: c.File, ValuePath: c.ValuePath}
	done, err := p.Propose(ctx, target, c.pullRequests())
	if err == nil && done.Outcome == promotion.Waiting {
		err = p.Wait(ctx, target, environment.Decision{Closed: []environment.Closed{done.Held}})
	}
	c.tell(ctx, done)
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Retryable("Timeout", err, "A request that was opened stays open. Try again, or raise timeout.")
	}
	return err
}

func (c *config) promotion() (promotion.Promotion, error) {
	chart, err := promotion.ChartOf(c.Application, edit.Selector{Name: c.Name, Alias: c.Alias, Repository: c.ChartRepository}, c.Add)
	if err != nil {
		return promotion.Promotion{}, err
	}
	p, err := c.Promotion(c.Timeout)
	p.Application, p.Chart, p.Version, p.Add, p.Exact = c.Application, chart, c.Version, c.Add, c.Downgrade
	p.Changelog, p.Source = c.Changelog, c.Source
	return p, err
}

func (c *config) pullRequests() promotion.PullRequests {
	how := c.PullRequests(c.AutoMerge, c.Timeout)
	if c.Wait > 0 {
		how.Wait = c.Wait
	}
	return how
}

// tell sets the results, of a failure as far as it came.
func (c *config) tell(ctx context.Context, done promotion.Proposed) {
	c.Outcome, c.Request = string(done.Outcome), done.Request.URL
	if done.Request.Number != 0 {
		c.Number = strconv.Itoa(done.Request.Number)
	}
	if done.Outcome == promotion.Promoted {
		c.Merged = string(done.Commit)
	}
	if done.Outcome != "" {
		slog.InfoContext(ctx, c.Outcome, "environment", c.Environment, "application", c.Application, "version", c.Version, "url", c.Request, "reason", done.Held.Reason)
	}
}
