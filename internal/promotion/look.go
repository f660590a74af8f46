package promotion

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Content is what a target has at one of its commits.
type Content struct {
	Applications []Application
	Holds        []Hold
	// History is the branch's, newest first along first parents, as far as it was
	// fetched.
	History []Entered
	// Commits are all of them, also those that are about other environments.
	Commits []git.Hash
}

// Application is one that a target has.
type Application struct {
	Name    string `json:"name"`            // as the target names it
	Chart   string `json:"chart,omitempty"` // where that is another name
	Version string `json:"version"`
}

// Entered is a commit and what it brought, by its trailers.
type Entered struct {
	Commit    git.Hash  `json:"commit"`
	When      time.Time `json:"when"`
	By        string    `json:"by"` // its author
	Subject   string    `json:"subject"`
	Operation string    `json:"operation,omitempty"` // "": nobody says
	Changes   []Changed `json:"changes,omitempty"`
}

// Changed is a version that a commit brought.
type Changed struct {
	Application string `json:"application"`
	Version     string `json:"version,omitempty"`  // "": it was removed
	Previous    string `json:"previous,omitempty"` // "": it was added
}

// Wish is a promotion that waits.
type Wish struct {
	Application string `json:"application"`
	Version     string `json:"version"`
	Reason      string `json:"reason"`
}

// Look fetches the target's tip with so many commits of its history. Where nothing
// lists the applications, because each has a place of its own, there are none.
func (t Target) Look(ctx context.Context, tip git.Ref, depth int) (Content, error) {
	d := draft{target: t, repository: git.NewMemory(), tip: tip}
	if err := t.Remote.Fetch(ctx, d.repository, tip, depth); err != nil {
		return Content{}, err
	}
	var c Content
	var err error
	if c.Applications, err = d.applications(); err != nil && !errors.Is(err, errUnlisted) {
		return Content{}, err
	}
	i, err := Promotion{Mark: MarkHold}.intent(t)
	if err == nil {
		h, _, err := holdsAt(d.tree(), i.File)
		if err != nil {
			return Content{}, err
		}
		c.Holds = h.Holds
	}
	err = d.repository.Log(tip.Hash, func(info git.CommitInfo) bool {
		c.Commits = append(c.Commits, info.Hash)
		if e := entered(info, t.Environment); e.Commit != "" {
			c.History = append(c.History, e)
		}
		return true
	})
	return c, err
}

// Wishes are the promotions that wait for the target, of refs that Refs gave.
func (t Target) Wishes(ctx context.Context, refs []git.Ref) ([]Wish, error) {
	var wishes []Wish
	for _, ref := range refs {
		w, err := fetchWaiting(ctx, t.Remote, ref)
		switch {
		case errors.Is(err, errNotReadable):
			wishes = append(wishes, Wish{Application: strings.TrimPrefix(ref.Name, WaitingRefs(t.Environment)), Reason: brief(err.Error())})
		case err != nil:
			return nil, err
		default:
			wishes = append(wishes, Wish{Application: w.Application, Version: w.Version, Reason: brief(environment.Decision{Closed: w.Closed}.Reason())})
		}
	}
	return wishes, nil
}

// entered reads a commit. The zero value is one that says it is about another
// environment, which may have the same repository.
func entered(c git.CommitInfo, name string) Entered {
	e := Entered{Commit: c.Hash, When: c.Committer.When, By: oneLine(c.Author.Name), Subject: oneLine(c.Subject())}
	paragraphs := strings.Split(strings.TrimSpace(c.Message), "\n\n")
	var one Changed
	applications := 0
	for line := range strings.Lines(paragraphs[len(paragraphs)-1]) {
		match := trailerForm.FindStringSubmatch(strings.TrimSpace(line))
		if match == nil {
			continue
		}
		value := oneLine(match[2])
		switch match[1] {
		case "Lockstep-Environment":
			if value != name {
				return Entered{}
			}
		case "Lockstep-Operation":
			e.Operation = value
		case "Lockstep-Application":
			if applications++; applications > 1 {
				e.Changes = append(e.Changes, one)
				one = Changed{}
			}
			one.Application = value
		case "Lockstep-Version":
			one.Version = value
		case "Lockstep-Previous":
			one.Previous = value
		}
	}
	if applications > 0 {
		e.Changes = append(e.Changes, one)
	}
	if isMark(e.Operation) {
		e.Changes = nil // no version changed
	}
	return e
}

// isMark reports whether an operation makes or takes back a hold.
func isMark(operation string) bool {
	return slices.Contains([]string{operationHold, operationRelease, operationReject}, operation)
}
