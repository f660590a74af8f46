package promotion

import (
	"context"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// draft is a target's tip in memory.
type draft struct {
	target     Target
	repository *git.Repository
	tip        git.Ref
}

// fetch brings the branch's tip, without its history.
func (t Target) fetch(ctx context.Context) (draft, error) {
	d := draft{target: t, repository: git.NewMemory()}
	var err error
	if d.tip, err = t.Remote.Tip(ctx, t.Branch); err != nil {
		return d, err
	}
	return d, t.Remote.FetchTips(ctx, d.repository, d.tip.Hash)
}

func (d draft) tree() Tree { return CommitTree(d.repository, d.tip.Hash) }

// dependencies are those of the target's chart.
func (d draft) dependencies() ([]edit.Dependency, error) {
	c, err := findChart(d.tree(), d.target.Path)
	if err != nil {
		return nil, err
	}
	dependencies, err := edit.Dependencies(c.text)
	return dependencies, at(c.file, err)
}

// drafted is Landed with, of a dry run, the difference that it would bring.
type drafted struct {
	Landed
	diff string
}

// land commits all intents at once and pushes that, unless it is a dry run.
func (d draft) land(ctx context.Context, e *Everywhere, m Message, intents ...Intent) (drafted, error) {
	l := Landing{
		Remote: d.target.Remote, Repository: d.repository, Branch: d.tip.Name,
		Change: Change{Base: d.tip.Hash, Intents: intents}, Message: m,
		Author: e.Author, Committer: e.Committer, Key: e.Key, Patience: e.Patience,
	}
	if !e.DryRun {
		landed, err := Land(ctx, l)
		return drafted{Landed: landed}, err
	}
	landed, err := l.draft(ctx, d.tip.Hash)
	if err != nil || landed.Commit == d.tip.Hash {
		return drafted{Landed: landed}, err
	}
	diff, err := d.repository.Diff(d.tip.Hash, landed.Commit)
	landed.Commit = d.tip.Hash // ours exists in memory only
	return drafted{landed, diff}, err
}
