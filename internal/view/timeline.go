package view

import (
	"cmp"
	"slices"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// Timeline are the events of several environments, newest first. Those of one stay in
// their order, whatever the clocks say.
func Timeline(environments []Environment) []Event {
	all := []Event{}
	for _, e := range environments {
		all = append(all, e.Events...)
	}
	slices.SortStableFunc(all, func(a, b Event) int { return b.at.Compare(a.at) })
	return all
}

// events are the commits and the deployments, newest first. Records are in their
// order, oldest first. Of the same second, a deployment is newer than its own commit and
// older than the commits behind that.
func events(name string, content promotion.Content, records []environment.Record) []Event {
	var commits, deployments []Event
	for _, c := range content.History {
		commits = append(commits, Event{
			When: c.When, Environment: name, What: cmp.Or(c.Operation, "commit"), Commit: c.Commit, By: c.By, Text: c.Subject, Changes: c.Changes,
			at: c.When.Truncate(time.Second),
		})
	}
	var last time.Time
	for _, r := range records {
		last = later(last, r.Finished.Truncate(time.Second))
		deployments = append(deployments, Event{When: r.Finished, Environment: name, What: string(r.State), Commit: git.Hash(r.Commit), Run: r.Run, Text: r.Reason, at: last})
	}
	slices.Reverse(deployments)
	slices.SortStableFunc(commits, func(a, b Event) int { return b.at.Compare(a.at) })
	return merged(commits, deployments, content.Commits)
}

// merged joins two lists that are newest first.
func merged(commits, deployments []Event, history []git.Hash) []Event {
	place := make(map[git.Hash]int, len(history))
	for i, commit := range history {
		place[commit] = len(history) - i
	}
	var all []Event
	for len(commits) > 0 && len(deployments) > 0 {
		c, d := commits[0], deployments[0]
		if newer := c.at.Compare(d.at); newer > 0 || newer == 0 && place[c.Commit] > place[d.Commit] {
			all, commits = append(all, c), commits[1:]
		} else {
			all, deployments = append(all, d), deployments[1:]
		}
	}
	return append(append(all, commits...), deployments...)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
