// Package view knows what people look at: which version of what is wanted,
// deployed and verified where, since when, by whom, and how far behind. All of it
// is read from Git alone, so also of clusters out of reach.
package view

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/precedence"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// Environment is what Git says of one.
type Environment struct {
	environment.Environment
	Commit git.Hash `json:"commit,omitempty"` // of its branch
	Link   string   `json:"link,omitempty"`   // to that commit on its forge; "" where it is on none
	// State is what became of the last deployment, of the commit Deployed; "": none is
	// on record.
	State        environment.State `json:"state,omitempty"`
	Deployed     git.Hash          `json:"deployed,omitempty"`
	Reason       string            `json:"reason,omitempty"` // of a failure, in CamelCase
	Finished     time.Time         `json:"finished,omitzero"`
	Applications []Application     `json:"applications,omitempty"`
	Held         []promotion.Hold  `json:"held,omitempty"`
	Waiting      []promotion.Wish  `json:"waiting,omitempty"`
	Events       []Event           `json:"-"` // newest first
	// Err says why the rest is missing, and Error the same for programs.
	Err   error  `json:"-"`
	Error string `json:"error,omitempty"`
}

// Application is one in an environment.
type Application struct {
	Name     string    `json:"name"`
	Chart    string    `json:"chart,omitempty"` // where that is another name
	Desired  string    `json:"desired"`         // what the branch says
	Since    time.Time `json:"since,omitzero"`  // when the branch got it; zero: longer ago than was looked at, or nobody said
	By       string    `json:"by,omitempty"`
	Commit   git.Hash  `json:"commit,omitempty"`
	Deployed string    `json:"deployed,omitempty"` // by the last deployment
	Verified string    `json:"verified,omitempty"` // by the last one that was verified
	// VerifiedSince is when Verified was verified first, without another version that
	// was verified in between.
	VerifiedSince time.Time `json:"verifiedSince,omitzero"`
	// Behind is how many higher versions any environment has or had; BehindSince is
	// when the first of them was seen.
	Behind      int       `json:"behind"`
	BehindSince time.Time `json:"behindSince,omitzero"`
}

// Event is something that happened in an environment: a commit to its branch or
// the end of a deployment.
type Event struct {
	When        time.Time           `json:"when"`
	Environment string              `json:"environment"`
	What        string              `json:"what"` // an operation, "commit", or the state of a deployment
	Commit      git.Hash            `json:"commit"`
	By          string              `json:"by,omitempty"`  // who committed
	Run         string              `json:"run,omitempty"` // that deployed: namespace/name
	Text        string              `json:"text,omitempty"`
	Changes     []promotion.Changed `json:"changes,omitempty"`
	Link        string              `json:"link,omitempty"` // to the commit on its forge

	at time.Time // in a timeline: no event is before the one that it came after
}

// Depth is how many commits of each branch are looked at.
const Depth = 1000

// atOnce bounds how many environments are read at the same time.
const atOnce = 16

// Read reads the chosen environments at the same time. One that cannot be read
// says so in its Err and keeps no other from being shown. With a cache, only those
// that changed since are read, whole.
func Read(ctx context.Context, chosen []environment.Environment, open func(url string) (*git.Remote, error), cache Cache) []Environment {
	found := make([]Environment, len(chosen))
	free := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, env := range chosen {
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			found[i] = read(ctx, env, open, cache)
		})
	}
	all.Wait()
	compare(found)
	return found
}

func read(ctx context.Context, env environment.Environment, open func(string) (*git.Remote, error), cache Cache) Environment {
	e := Environment{Environment: env}
	remote, err := open(env.Repository)
	var s seen
	if err == nil {
		s, err = look(ctx, promotion.TargetOf(env, remote), env, cache)
	}
	if err != nil {
		e.Err, e.Error = err, err.Error()
		return e
	}
	e.Commit, e.Held, e.Waiting = s.Tip, s.Content.Holds, s.Wishes
	e.judge(s)
	e.Link = link(remote, e.Commit)
	for i := range e.Events {
		e.Events[i].Link = link(remote, e.Events[i].Commit)
	}
	return e
}

// link is a commit's page. Hosts of one's own are taken for such as GitHub or Gitea;
// GitLab leads from there to its own form.
func link(remote *git.Remote, commit git.Hash) string {
	page := strings.TrimSuffix(remote.Page(), ".git")
	if page == "" || commit.IsZero() {
		return ""
	}
	way := "/commit/"
	if strings.HasPrefix(page, "https://bitbucket.org/") {
		way = "/commits/"
	}
	return page + way + string(commit)
}

// seen is what was fetched of an environment, and where its refs were then.
type seen struct {
	Tip     git.Hash             `json:"tip"`
	Notes   git.Hash             `json:"notes"`
	Waits   []git.Ref            `json:"waits"`
	Content promotion.Content    `json:"content"`
	Records []environment.Record `json:"records"`
	Wishes  []promotion.Wish     `json:"wishes"`
}

// look asks where the refs are and fetches what is not in the cache.
func look(ctx context.Context, t promotion.Target, env environment.Environment, cache Cache) (seen, error) {
	s, known := cache.get(env)
	tip, err := t.Remote.Tip(ctx, t.Branch)
	if err != nil {
		return seen{}, err
	}
	refs, err := t.Remote.Refs(ctx, git.NotesRef, promotion.WaitingRefs(env.Name))
	if err != nil {
		return seen{}, err
	}
	notes, waits := git.Zero, []git.Ref{}
	for _, ref := range refs {
		switch {
		case ref.Name == git.NotesRef:
			notes = ref.Hash
		case strings.HasPrefix(ref.Name, promotion.WaitingRefs(env.Name)):
			waits = append(waits, ref)
		}
	}
	fresh := known
	if !known || s.Tip != tip.Hash {
		fresh = false
		if s.Content, err = t.Look(ctx, tip, Depth); err != nil {
			return seen{}, err
		}
	}
	if !known || s.Notes != notes {
		fresh = false
		if s.Records, err = records(ctx, t.Remote, env); err != nil {
			return seen{}, err
		}
	}
	if !known || !slices.Equal(s.Waits, waits) {
		fresh = false
		if s.Wishes, err = t.Wishes(ctx, waits); err != nil {
			return seen{}, err
		}
	}
	s.Tip, s.Notes, s.Waits = tip.Hash, notes, waits
	if !fresh {
		cache.put(ctx, env, s)
	}
	return s, nil
}

// records are those of the environment, of each commit in the order of its note.
func records(ctx context.Context, remote *git.Remote, env environment.Environment) ([]environment.Record, error) {
	notes, err := remote.AllNotes(ctx)
	if err != nil {
		return nil, err
	}
	return promotion.RecordsOf(ctx, env, notes), nil
}

// judge says what the records and the history mean for each application.
func (e *Environment) judge(s seen) {
	history := make([]string, len(s.Content.Commits))
	for i, commit := range s.Content.Commits {
		history[i] = string(commit)
	}
	records := environment.Ordered(s.Records, e.Name, history)
	last, _ := environment.Last(records, e.Name, history)
	e.State, e.Deployed, e.Reason, e.Finished = last.State, git.Hash(last.Commit), last.Reason, last.Finished
	brought := map[promotion.Changed]promotion.Entered{}
	for _, commit := range slices.Backward(s.Content.History) {
		for _, c := range commit.Changes {
			brought[promotion.Changed{Application: c.Application, Version: c.Version}] = commit
		}
	}
	applied, _ := environment.LastApplied(records, e.Name)
	verified, _ := environment.LastVerified(records, e.Name)
	deployed, right, since := versionsOf(applied), versionsOf(verified), verifiedSince(records)
	for _, a := range s.Content.Applications {
		app := Application{Name: a.Name, Chart: a.Chart, Desired: a.Version, Deployed: deployed[a.Name], Verified: right[a.Name], VerifiedSince: since[a.Name]}
		for _, name := range []string{a.Name, cmp.Or(a.Chart, a.Name)} {
			if commit, ok := brought[promotion.Changed{Application: name, Version: a.Version}]; ok {
				app.Since, app.By, app.Commit = commit.When, commit.By, commit.Commit
			}
		}
		e.Applications = append(e.Applications, app)
	}
	e.Events = events(e.Name, s.Content, records)
}

func versionsOf(r environment.Record) map[string]string {
	versions := map[string]string{}
	for _, a := range r.Applications {
		versions[a.Name] = a.Version
	}
	return versions
}

// verifiedSince is Application.VerifiedSince of all.
func verifiedSince(records []environment.Record) map[string]time.Time {
	since, version := map[string]time.Time{}, map[string]string{}
	for _, r := range records {
		if r.State != environment.Verified || r.Revision == 0 {
			continue
		}
		for _, a := range r.Applications {
			if version[a.Name] != a.Version || since[a.Name].IsZero() {
				since[a.Name], version[a.Name] = r.Finished, a.Version
			}
		}
	}
	return since
}

// compare counts, for each application, the higher versions that some environment
// has, or got by one of the commits that were looked at.
func compare(environments []Environment) {
	known := map[string]map[string]time.Time{} // by application and version: when it was seen first
	meet := func(application, version string, when time.Time) {
		if known[application] == nil {
			known[application] = map[string]time.Time{}
		}
		first, there := known[application][version]
		if !there || !when.IsZero() && (first.IsZero() || when.Before(first)) {
			known[application][version] = when
		}
	}
	for _, e := range environments {
		for _, a := range e.Applications {
			meet(a.Title(), a.Desired, a.Since)
		}
		called := map[string]string{}
		for _, a := range e.Applications {
			called[a.Name] = a.Title()
		}
		for _, event := range e.Events {
			for _, c := range event.Changes {
				if c.Version != "" {
					meet(cmp.Or(called[c.Application], c.Application), c.Version, event.When)
				}
			}
		}
	}
	parsed := map[string]precedence.Version{}
	for _, versions := range known {
		for version := range versions {
			if v, ok := precedence.Parse(version); ok {
				parsed[version] = v
			}
		}
	}
	for _, e := range environments {
		for i := range e.Applications {
			a := &e.Applications[i]
			mine, ok := parsed[a.Desired]
			for version, when := range known[a.Title()] {
				if other, comparable := parsed[version]; !ok || !comparable || other.Compare(mine) != precedence.Higher {
					continue
				}
				a.Behind++
				if !when.IsZero() && (a.BehindSince.IsZero() || when.Before(a.BehindSince)) {
					a.BehindSince = when
				}
			}
		}
	}
}

// Title is the name under which the same application of several environments is
// shown: its chart's.
func (a Application) Title() string { return cmp.Or(a.Chart, a.Name) }
