package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/view"
)

// standing is an application in an environment.
type standing struct {
	Environment string `json:"environment"`
	view.Application
	// State of the desired version: verified, or what keeps it from being that; ""
	// where another tool deploys.
	State string `json:"state,omitempty"`
}

// standingsOf are the applications that the arguments name, by what one of the
// environments calls them or by their chart; without arguments, all.
func standingsOf(c *cli.Context, environments []view.Environment) ([]standing, error) {
	named := map[string]bool{}
	for _, name := range c.Args().Slice() {
		before := len(named)
		for _, e := range environments {
			for _, a := range e.Applications {
				if name == a.Name || name == a.Title() {
					named[a.Title()] = true
				}
			}
		}
		if len(named) == before && !named[name] {
			return nil, fault.Usage("UnknownApplication", fmt.Errorf("no environment has an application %q", name), "lockstep get applications lists them")
		}
	}
	found := []standing{}
	for _, e := range environments {
		for _, a := range e.Applications {
			if c.NArg() == 0 || named[a.Title()] {
				found = append(found, standing{e.Name, a, versionState(e, a)})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b standing) int { return strings.Compare(a.Title(), b.Title()) })
	return found, nil
}

func versionState(e view.Environment, a view.Application) string {
	switch {
	case e.File != "":
		return ""
	case e.State == environment.Failed && e.Deployed == e.Commit:
		return string(environment.Failed)
	case !fulfils(a.Deployed, a.Desired):
		return "not deployed"
	case fulfils(a.Verified, a.Desired) && e.State == environment.Verified:
		return string(environment.Verified)
	case e.State == environment.Failed:
		return string(environment.Failed)
	}
	return "not verified"
}

// fulfils reports whether a version is what a chart asks for, which may be a range.
func fulfils(version, desired string) bool {
	if version == desired {
		return true
	}
	of, errOf := semver.NewConstraint(desired)
	v, err := semver.NewVersion(version)
	return errOf == nil && err == nil && of.Check(v)
}

func showVersions(c *cli.Context, environments []view.Environment) error {
	places, err := standingsOf(c, environments)
	if err != nil {
		return err
	}
	if c.String("output") == "wide" {
		t := table{head: []string{"APPLICATION", "ENVIRONMENT", "DESIRED", "DEPLOYED", "VERIFIED", "STATE", "SINCE", "BY", "BEHIND"}}
		for _, p := range places {
			t.add(p.Title(), p.Environment, p.Desired, p.Deployed, p.Verified, p.State, ago(p.Since), p.By, behind(p.Application))
		}
		return show(c, t, places)
	}
	t := table{head: []string{"APPLICATION"}}
	column := map[string]int{}
	for i, e := range environments {
		t.head = append(t.head, strings.ToUpper(e.Name))
		column[e.Name] = i + 1
	}
	var row []string
	for i, p := range places {
		if i == 0 || places[i-1].Title() != p.Title() {
			row = append([]string{p.Title()}, make([]string, len(environments))...)
			t.rows = append(t.rows, row)
		}
		cell := p.Desired
		if p.State != string(environment.Verified) && p.State != "" {
			cell += " (" + p.State + ")"
		}
		at := column[p.Environment]
		row[at] = and(row[at], cell)
	}
	return show(c, t, places)
}

// and lists what an environment has by several names.
func and(there, more string) string { return strings.TrimPrefix(there+", "+more, ", ") }

func behind(a view.Application) string {
	switch {
	case a.Behind == 0:
		return ""
	case a.BehindSince.IsZero():
		return fmt.Sprint(a.Behind)
	}
	return fmt.Sprintf("%d, %s", a.Behind, ago(a.BehindSince))
}

func showApplications(c *cli.Context, environments []view.Environment) error {
	type application struct {
		Name         string   `json:"name"`
		Version      string   `json:"version"` // the highest
		Environments []string `json:"environments"`
	}
	places, err := standingsOf(c, environments)
	if err != nil {
		return err
	}
	list := []application{}
	least := 0 // versions behind, of the last one in the list
	for _, p := range places {
		if len(list) == 0 || list[len(list)-1].Name != p.Title() {
			list = append(list, application{Name: p.Title()})
		}
		last := &list[len(list)-1]
		last.Environments = append(last.Environments, p.Environment)
		if last.Version == "" || p.Behind < least {
			last.Version, least = p.Desired, p.Behind
		}
	}
	t := table{head: []string{"NAME", "VERSION", "ENVIRONMENTS"}}
	for _, a := range list {
		t.add(a.Name, a.Version, strings.Join(a.Environments, ", "))
	}
	return show(c, t, list)
}

// ago is a time for people: days matter, seconds do not.
func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	switch d := time.Since(t); {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
}
