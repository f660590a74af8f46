package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git"
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
	Source      string               `json:"source,omitempty"`
	Run         string               `json:"run,omitempty"`
	Closed      []environment.Closed `json:"closed"`
}

func waitingRef(environment, application string) string {
	return "refs/lockstep/waiting/" + environment + "/" + application
}

// Wait keeps the promotion in the environment's repository until its gates
// open. A newer version takes the place of an older one, and never the other
// way round, unless somebody asked for exactly that one.
func (p Promotion) Wait(ctx context.Context, t Target, d environment.Decision) error {
	text, err := json.MarshalIndent(waiting{
		Application: p.Application, Name: p.Chart.Name, Alias: p.Chart.Alias, Repository: p.Chart.Repository, Version: p.Version,
		Source: p.Source, Run: p.Run, Closed: d.Closed,
	}, "", "  ")
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := p.keep(ctx, t, append(text, '\n'))
		if !errors.Is(err, git.ErrMoved) {
			return err
		}
		if err := sleep(ctx, rand.N(time.Duration(min(attempt, 20))*firstWindow)); err != nil {
			return err
		}
	}
}

func (p Promotion) keep(ctx context.Context, t Target, text []byte) error {
	ref, scratch := waitingRef(t.Environment, p.Application), git.NewMemory()
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
		if err := t.Remote.Fetch(ctx, scratch, o, 1); err != nil {
			return err
		}
		kept, err := readWaiting(scratch, o.Hash)
		if err == nil && decide(Intent{From: kept.Version, To: p.Version, Exact: p.Exact}, kept.Version) != Promoted {
			return nil // it waits already, or a newer one does
		}
	}
	author := p.Author
	author.When = time.Now()
	// Each is a commit of its own: what waited before is of no interest.
	update.New, err = scratch.Commit(git.CommitOptions{
		Author: author, Message: fmt.Sprintf("%s %s waits for %s", p.Application, p.Version, t.Environment),
		Files: []git.File{{Path: waitingFile, Content: text, Mode: git.Regular}},
	})
	if err != nil {
		return err
	}
	return t.Remote.Push(ctx, scratch, update)
}

func readWaiting(r *git.Repository, commit git.Hash) (waiting, error) {
	var w waiting
	text, err := r.Read(commit, waitingFile)
	if err != nil {
		return w, err
	}
	return w, json.Unmarshal(text, &w)
}
