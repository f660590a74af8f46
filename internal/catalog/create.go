package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Request is a new environment.
type Request struct {
	Name string
	// From is the environment whose state it begins with, Template the URL of a
	// repository; at most one of them.
	From, Template string
	Keys           []edit.Pair // of its entry, in the order of one; a Value of nil: none
	Hosting        Hosting
}

// given is a key of the request as a text; "" where it has none.
func (r Request) given(key string) string {
	for _, p := range r.Keys {
		if p.Key == key {
			text, _ := p.Value.(string)
			return text
		}
	}
	return ""
}

// Created is what became of a Request.
type Created struct {
	Environment environment.Environment // as far as its repository needs it
	From        string                  // the environment that it is a copy of
	Repository  Repository
	Entry       Changed
}

// Create makes an environment's repository and then its entry. Everything that can be
// checked is checked before anything is made, and what is there stays: a second call
// goes on where the first was interrupted.
func (c Catalog) Create(ctx context.Context, r Request) (Created, error) {
	where, err := c.Place()
	if err != nil {
		return Created{}, err
	}
	known, err := c.known(ctx)
	if err != nil {
		return Created{}, err
	}
	env, from, pairs, err := r.wanted(known, where)
	if err != nil {
		return Created{}, err
	}
	plan := c
	plan.DryRun = true
	if _, err := plan.Add(ctx, r.Name, r.From, pairs); err != nil {
		return Created{}, err
	}
	done := Created{Environment: env, From: from.Name}
	if done.Repository, err = c.Ensure(ctx, env, from, r.Hosting); err != nil {
		return done, err
	}
	done.Entry, err = c.Add(ctx, r.Name, r.From, pairs)
	return done, err
}

// wanted is the environment that is asked for, what its repository begins with, and
// its entry.
func (r Request) wanted(known *environment.Environments, where string) (env environment.Environment, from Source, pairs []edit.Pair, err error) {
	if r.From != "" && r.Template != "" {
		return env, from, nil, fault.Usage("InvalidArguments", errors.New("--from and --template: what does it begin with?"), "")
	}
	if there, err := known.Find(r.Name); err == nil && r.From == "" {
		return there, Source{URL: r.Template, Path: "."}, r.Keys, checkChart(there)
	}
	from = Source{URL: r.Template, Path: "."}
	if r.From != "" {
		like, err := known.Find(r.From)
		if err != nil {
			return env, from, nil, err
		}
		if err := checkChart(like); err != nil {
			return env, from, nil, err
		}
		from = Source{URL: like.Repository, Branch: like.Branch, Path: like.Path, Name: like.Name}
		env = environment.Environment{Path: like.Path, Branch: like.Branch, Delivery: like.Delivery, Namespace: renamed(like.Namespace, like.Name, r.Name)}
	}
	env.Name = r.Name
	env.Repository = cmp.Or(r.given("repository"), beside(known, from, where, r.Name))
	if env.Repository == "" {
		return env, from, nil, fault.Usage("InvalidArguments", errors.New("which repository? Nothing says where the others are"), "Give --repository URL.")
	}
	env.Path = cmp.Or(r.given("path"), env.Path, ".")
	env.Branch = cmp.Or(r.given("branch"), env.Branch)
	return env, from, entryOf(env, r.Keys), nil
}

func checkChart(env environment.Environment) error {
	if env.File == "" {
		return nil
	}
	return fault.Refused("NoChart", fmt.Errorf("%s has no chart: another tool deploys it", env.Name), "Such environments are written into environments.yaml by hand; to begin with a chart, give --template.")
}

// entryOf are the keys of a new entry: those that were given, and those that it takes
// from another environment or by default.
func entryOf(env environment.Environment, given []edit.Pair) []edit.Pair {
	pairs := []edit.Pair{{Key: "name", Value: env.Name}, {Key: "repository", Value: env.Repository}}
	defaults := []edit.Pair{
		{Key: "branch", Value: env.Branch}, {Key: "path", Value: env.Path},
		{Key: "namespace", Value: cmp.Or(env.Namespace, env.Name)},
		{Key: "promotion", Value: string(environment.Manual)}, {Key: "delivery", Value: string(env.Delivery)},
	}
	at := func(key string) int { return slices.IndexFunc(given, func(p edit.Pair) bool { return p.Key == key }) }
	for _, d := range defaults {
		i := at(d.Key)
		plain := d.Value == "" || d.Key == "path" && d.Value == "." || d.Key == "delivery" && d.Value == string(environment.ByCommit)
		switch {
		case i >= 0 && given[i].Value != nil:
			pairs = append(pairs, given[i])
		case i < 0 && !plain:
			pairs = append(pairs, d)
		}
	}
	for _, p := range given {
		has := slices.ContainsFunc(pairs, func(q edit.Pair) bool { return q.Key == p.Key })
		if !has && p.Value != nil && p.Value != false {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// beside is where its repository would be among the others, "" where nothing tells.
func beside(known *environment.Environments, from Source, where, name string) string {
	like := from.URL
	if from.Name == "" {
		like = ""
	}
	for _, e := range known.Environments {
		if like == "" && strings.Contains(path.Base(e.Repository), e.Name) {
			like, from.Name = e.Repository, e.Name
		}
	}
	dir, base := path.Split(like)
	stem, isGit := strings.CutSuffix(base, ".git")
	if own := renamed(stem, from.Name, name); own != "" {
		if isGit {
			own += ".git"
		}
		return dir + own
	}
	if at := cmp.Or(like, where); like != "" || strings.Contains(at, "://") {
		dir, _ := path.Split(strings.TrimSuffix(at, "/"))
		return dir + "environment-" + name + ".git"
	}
	return ""
}

// renamed is a text with another environment's name in it, "" where it has not the
// one before. It stands at the end: development-dev.
func renamed(text, before, after string) string {
	at := strings.LastIndex(text, before)
	if before == "" || at < 0 {
		return ""
	}
	return text[:at] + after + text[at+len(before):]
}
