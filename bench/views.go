package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
)

// views is B11: how long it takes to see which version is where.
type views struct {
	Cold, Warm []usage
	Wrong      int
}

// The environments of B11, and how many deployments are on record in each.
const (
	viewedApplications = 1_000
	viewedEnvironments = 10
	viewedRecords      = 50
)

// look measures `lockstep get versions`, cold and warm in turn, without delay.
func (l *lab) look(ctx context.Context, cache string, warmups, runs int) (*views, error) {
	slog.Info("B11", "environments", viewedEnvironments, "load", load())
	l.link.setRoundTrip(0)
	f, err := grown(viewedApplications).prepare(ctx, cache)
	if err != nil {
		return nil, err
	}
	file := environment.Environments{APIVersion: environment.APIVersion, Kind: environment.Kind}
	for i := range viewedEnvironments {
		p, err := l.newPlace(f)
		if err != nil {
			return nil, err
		}
		defer l.clear(p)
		name := fmt.Sprintf("environment-%d", i)
		if err := recorded(ctx, p.repository, name); err != nil {
			return nil, err
		}
		file.Environments = append(file.Environments, environment.Environment{
			Name: name, Repository: strings.TrimPrefix(p.env[0], "URL="), Branch: "main", Path: ".", Namespace: name,
			Promotion: environment.Auto, Delivery: environment.ByCommit,
		})
	}
	text, err := json.Marshal(file)
	if err != nil {
		return nil, err
	}
	dir, env, err := l.folder(place{dir: filepath.Join(l.dir, "views")}, "looker")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(filepath.Join(l.dir, "views"))
	if err := os.WriteFile(filepath.Join(dir, "environments.yaml"), text, 0o644); err != nil {
		return nil, err
	}
	v := &views{}
	for i := range warmups + runs {
		for _, way := range []struct {
			to   *[]usage
			args []string
		}{{&v.Cold, []string{"--no-cache"}}, {&v.Warm, nil}} {
			used, err := l.measure(ctx, dir, env, "lockstep", append([]string{"get", "versions", "-o", "json"}, way.args...)...)
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err != nil:
				v.Wrong++
				slog.Warn("does not count", "view", way.args, "error", brief(err))
			case i >= warmups:
				*way.to = append(*way.to, used)
			}
		}
	}
	return v, nil
}

// recorded writes deployment records of the last commits, of all applications each.
func recorded(ctx context.Context, repository, name string) error {
	commits, err := git(ctx, repository, "rev-list", fmt.Sprintf("--max-count=%d", viewedRecords), "--reverse", "main")
	if err != nil {
		return err
	}
	var stream strings.Builder
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, commit := range strings.Fields(commits) {
		r := environment.Record{
			State: environment.Verified, Environment: name, Commit: commit, Run: fmt.Sprintf("acme/%d", i), Revision: i + 1,
			Started: start.Add(time.Duration(i) * time.Hour), Finished: start.Add(time.Duration(i)*time.Hour + time.Minute),
		}
		for n := range viewedApplications {
			r.Applications = append(r.Applications, environment.Application{Name: application(n), Version: fmt.Sprintf("1.%d.%d", n, i)})
		}
		line, err := r.Line(nil)
		if err != nil {
			return err
		}
		fmt.Fprintf(&stream, "commit refs/notes/lockstep\ncommitter Bench <bench@example.com> %d +0000\ndata 0\nN inline %s\ndata %d\n%s\n\n",
			r.Finished.Unix(), commit, len(line)+1, line)
	}
	_, err = gitFrom(ctx, repository, strings.NewReader(stream.String()), "fast-import", "--quiet")
	return err
}

func (r *results) viewsTable(p *page) {
	if r.Views == nil {
		return
	}
	p.line("\n## B11: which version is where\n")
	p.line("`lockstep get versions` of %d environments with %d applications and %d deployments on record each, from process start to exit, no delay; cold", viewedEnvironments, viewedApplications, viewedRecords)
	p.line("without what an earlier run has kept, warm with it. Others need a cluster to answer that, so nothing stands beside it.")
	p.head("", "median ms", "p95 ms", "quartiles ms", "CPU ms", "memory MB", "n")
	for _, row := range []struct {
		name string
		all  []usage
	}{{"cold", r.Views.Cold}, {"warm", r.Views.Warm}} {
		if len(row.all) == 0 {
			continue
		}
		times := walls(row.all)
		p.row(row.name, ms(median(times)), ms(quantile(times, 0.95)), ms(quantile(times, 0.25))+"–"+ms(quantile(times, 0.75)),
			ms(median(of(row.all, func(u usage) time.Duration { return u.User + u.System }))),
			fmt.Sprintf("%.1f", float64(median(of(row.all, func(u usage) int64 { return u.MaxRSS })))/1024), len(row.all))
	}
}

func (r *results) viewsTargets(p *page) {
	if r.Views == nil {
		return
	}
	for _, target := range []struct {
		name string
		all  []usage
		most time.Duration
	}{{"cold", r.Views.Cold, 10 * time.Second}, {"warm", r.Views.Warm, 2 * time.Second}} {
		if len(target.all) > 0 {
			took := median(walls(target.all))
			p.row(fmt.Sprintf("B11, %d × %d, %s", viewedApplications, viewedEnvironments, target.name), fmt.Sprintf("≤ %.0f s", target.most.Seconds()),
				fmt.Sprintf("%.2f s", took.Seconds()), met(took <= target.most))
		}
	}
}
