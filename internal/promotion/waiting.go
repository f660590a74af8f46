package promotion

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// waitingFile is where a waiting promotion stands in the tree of its commit.
const waitingFile = "promotion.json"

// waiting is a promotion whose gate is closed, as the environment's repository
// keeps it: a commit at refs/lockstep/waiting/<environment>/<application>.
type waiting struct {
	Application string               `json:"application"`
	Name        string               `json:"name,omitempty"`
	Alias       string               `json:"alias,omitempty"`
	Repository  string               `json:"repository,omitempty"`
	Version     string               `json:"version"`
	Add         bool                 `json:"add,omitempty"`
	Exact       bool                 `json:"exact,omitempty"`
	From        string               `json:"from,omitempty"` // of an Exact one: what stood there when it was asked for
	BreakGlass  string               `json:"breakGlass,omitempty"`
	Changelog   string               `json:"changelog,omitempty"`
	Source      string               `json:"source,omitempty"`
	Run         string               `json:"run,omitempty"`
	AuthorName  string               `json:"authorName,omitempty"` // who asked for it
	AuthorEmail string               `json:"authorEmail,omitempty"`
	Closed      []environment.Closed `json:"closed"`

	sealed bool // by the credential of whoever read it
}

// WaitingRefs is where the promotions of an environment wait: a prefix of refs.
func WaitingRefs(environment string) string { return "refs/lockstep/waiting/" + environment + "/" }

// waitingRef is where a promotion waits, by the name that the environment has
// for the application.
func (p Promotion) waitingRef(t Target) string { return WaitingRefs(t.Environment) + p.there() }

// there is the application's name in environments and records: its alias, where
// it has one.
func (p Promotion) there() string { return cmp.Or(p.Chart.Alias, p.Chart.Name) }

// opened is the promotion again, as it was asked for. What would add a chart counts
// only where it was asked for with our own credential, or where we are told to
// add what is missing: whoever may push next to the branch could otherwise bring
// a chart of his own into it. For the same reason only then another person is its
// author.
func (w waiting) opened(p Promotion) Promotion {
	p.Application, p.Version, p.Exact, p.from, p.ByName = w.Application, w.Version, w.Exact, w.From, false
	p.Chart = edit.Selector{Name: w.Name, Alias: w.Alias, Repository: w.Repository}
	p.Add = w.Add && (w.sealed || p.Add)
	p.BreakGlass, p.Changelog, p.Source, p.Run = w.BreakGlass, w.Changelog, w.Source, w.Run
	if w.sealed && w.AuthorName != "" {
		p.Author = git.Signature{Name: w.AuthorName, Email: w.AuthorEmail}
	}
	return p
}

// Wait keeps the promotion in the environment's repository until its gates
// open. A newer version takes the place of an older one, and never the other
// way round, unless somebody asked for exactly that one.
func (p Promotion) Wait(ctx context.Context, t Target, d environment.Decision) error {
	w := waiting{
		Application: p.Application, Name: p.Chart.Name, Alias: p.Chart.Alias, Repository: p.Chart.Repository, Version: p.Version,
		Add: p.Add, Exact: p.Exact, From: p.from, BreakGlass: p.BreakGlass, Changelog: p.Changelog, Source: p.Source, Run: p.Run, Closed: d.Closed,
		AuthorName: p.Author.Name, AuthorEmail: p.Author.Email,
	}
	if p.Exact && p.from == "" {
		from, err := p.current(ctx, t)
		if err != nil {
			return err
		}
		w.From = from
	}
	text, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return err
	}
	return p.again(ctx, t, func() error { return p.keep(ctx, t, append(text, '\n')) })
}

// current is the value that the branch has now.
func (p Promotion) current(ctx context.Context, t Target) (string, error) {
	d, err := t.fetch(ctx)
	if err != nil {
		return "", err
	}
	i, err := d.begin(p)
	return i.From, err
}

// again repeats what others were faster at, as long as races may be lost.
func (p Promotion) again(ctx context.Context, t Target, do func() error) error {
	patience := cmp.Or(p.Patience, defaultPatience)
	deadline := time.Now().Add(patience)
	for attempt := 1; ; attempt++ {
		err := do()
		if !errors.Is(err, git.ErrMoved) {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return contention(p.waitingRef(t), t.Remote, attempt, patience)
		}
		if err := retry.Sleep(ctx, min(left, rand.N(time.Duration(min(attempt, 20))*firstWindow))); err != nil {
			return err
		}
	}
}

func (p Promotion) keep(ctx context.Context, t Target, text []byte) error {
	ref, scratch := p.waitingRef(t), git.NewMemory()
	old, err := t.Remote.Refs(ctx, ref)
	if err != nil {
		return err
	}
	update := git.Update{Ref: ref, Old: git.Zero}
	for _, o := range old {
		if o.Name != ref {
			continue
		}
		update.Old = o.Hash
		kept, err := fetchWaiting(ctx, t.Remote, o)
		if err != nil && !errors.Is(err, errNotReadable) {
			return err
		}
		if err == nil && !p.replaces(kept.Version) {
			return nil // it waits already, or a newer one does
		}
	}
	files := []git.File{{Path: waitingFile, Content: text, Mode: git.Regular}}
	if seal, ok := t.Remote.Seal(sealOf(ref, text)); ok {
		files = append(files, git.File{Path: sealFile, Content: []byte(seal + "\n"), Mode: git.Regular})
	}
	author := p.Author
	author.When = time.Now()
	// Each is a commit of its own: what waited before is of no interest.
	update.New, err = scratch.Commit(git.CommitOptions{
		Key: p.Key, Author: author, Message: fmt.Sprintf("%s %s waits for %s", p.Application, p.Version, t.Environment),
		Files: files,
	})
	if err != nil {
		return err
	}
	return t.Remote.Push(ctx, scratch, update)
}

// replaces reports whether it takes the place of a version that waits or is proposed.
// What may be lower does not.
func (p Promotion) replaces(version string) bool {
	outcome, err := decide(Intent{Kind: Value, From: version, To: p.Version, Exact: p.Exact}, version, "")
	return err == nil && outcome == Promoted
}

// errNotReadable says that a ref is none that we wrote.
var errNotReadable = errors.New("it cannot be read")

func fetchWaiting(ctx context.Context, remote *git.Remote, ref git.Ref) (waiting, error) {
	scratch := git.NewMemory()
	if err := remote.Fetch(ctx, scratch, ref, 1); err != nil {
		return waiting{}, err
	}
	var w waiting
	text, err := scratch.Read(ref.Commit(), waitingFile)
	if err != nil {
		return w, fmt.Errorf("%w: %w", errNotReadable, err)
	}
	if seal, err := scratch.Read(ref.Commit(), sealFile); err == nil {
		w.sealed = sealed(remote, seal, sealOf(ref.Name, text))
	}
	if err := json.Unmarshal(text, &w); err != nil {
		return w, fmt.Errorf("%w: %w", errNotReadable, err)
	}
	return w, nil
}

// sealOf is what the seal of a waiting promotion is made for.
func sealOf(ref string, text []byte) []byte { return append([]byte(ref+"\n"), text...) }

// withdraw takes back what waits for the application, by any of its names: it was
// carried out, or somebody asked for something else since.
func (p Promotion) withdraw(ctx context.Context, t Target) error {
	refs, err := t.Remote.Refs(ctx, WaitingRefs(t.Environment))
	if err != nil || len(refs) == 0 {
		return err
	}
	d, err := t.fetch(ctx)
	if err != nil {
		return err
	}
	k, err := d.know(p)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		w, err := fetchWaiting(ctx, t.Remote, ref)
		if errors.Is(err, errNotReadable) || err == nil && !w.isFor(p, k) {
			continue
		}
		if err == nil {
			err = drop(ctx, t.Remote, ref)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isFor reports whether this waits for an application, by whichever name.
func (w waiting) isFor(p Promotion, k known) bool {
	return slices.ContainsFunc([]string{w.Application, w.Name, w.Alias}, func(name string) bool {
		return name != "" && (name == p.Application || k.goesBy(name))
	})
}

// drop deletes a ref that says what it said when it was seen.
func drop(ctx context.Context, remote *git.Remote, seen git.Ref) error {
	err := remote.Swap(ctx, git.NewMemory(), git.Update{Ref: seen.Name, Old: seen.Hash, New: git.Zero})
	if errors.Is(err, git.ErrMoved) {
		return nil // somebody took it, or put another one in its place
	}
	return err
}
