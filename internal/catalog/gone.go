package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// looked is how far back deletions are looked for in the history.
const looked = 1000

// Deletions are the environments whose last mention in the history of environments.yaml
// says that they were deleted.
func Deletions(ctx context.Context, in *git.Remote, revision string) (map[string]bool, error) {
	tip, err := in.Resolve(ctx, revision)
	if err != nil {
		return nil, err
	}
	history := git.NewMemory()
	if err := in.Fetch(ctx, history, tip, looked); err != nil {
		return nil, err
	}
	deleted := map[string]bool{}
	err = history.Log(tip.Commit(), func(c git.CommitInfo) bool {
		operation, name := promotion.OperationOf(c.Message)
		if _, seen := deleted[name]; !seen && (operation == promotion.CreateEnvironment || operation == promotion.DeleteEnvironment) {
			deleted[name] = operation == promotion.DeleteEnvironment
		}
		return true
	})
	return deleted, err
}

// deleted reports whether an environment was there and somebody deleted it; of a file
// nobody knows.
func (c Catalog) deleted(ctx context.Context, name string) (bool, error) {
	remote, err := c.Remote()
	if err != nil || remote == nil {
		return false, err
	}
	deleted, err := Deletions(ctx, remote, c.Revision)
	return deleted[name], err
}

// Gone is what became of a deletion.
type Gone struct {
	Repository string // that was deleted; "": none
	Entry      Changed
}

// Delete takes an environment out, and its repository where it is told to. Unless
// forced, it refuses while something is deployed. An environment that is not there is
// an error, unless somebody has deleted it.
func (c Catalog) Delete(ctx context.Context, name string, force, repository bool, kind forge.Kind) (gone Gone, err error) {
	known, err := c.known(ctx)
	if err != nil {
		return Gone{}, err
	}
	env, err := known.Find(name)
	if err != nil {
		if before, errBefore := c.deleted(ctx, name); errBefore == nil && before {
			return Gone{}, nil
		}
		return Gone{}, err
	}
	plan := c
	plan.DryRun = true
	if _, err := plan.Remove(ctx, name); err != nil {
		return Gone{}, err // before anything is deleted
	}
	if !force {
		if err := c.checkEmpty(ctx, env); err != nil {
			return Gone{}, err
		}
	}
	if repository {
		if err := c.deleteRepository(ctx, env, known, kind); err != nil {
			return Gone{}, err
		}
		gone.Repository = env.Repository
	}
	gone.Entry, err = c.Remove(ctx, name)
	return gone, err
}

// checkEmpty is a Refused fault StillDeployed where something is deployed, by the
// deployment records. A repository that is gone has none.
func (c Catalog) checkEmpty(ctx context.Context, env environment.Environment) error {
	remote, err := c.Open(env.Repository)
	if err != nil {
		return err
	}
	if _, there, err := tipOf(ctx, remote, env.Branch); !there {
		if errors.Is(err, git.ErrNotFound) {
			return nil
		}
		return err
	}
	notes, err := remote.AllNotes(ctx)
	if err != nil {
		return err
	}
	last, ok := environment.LastApplied(promotion.RecordsOf(ctx, env, notes), env.Name)
	if !ok || len(last.Applications) == 0 {
		return nil
	}
	var names []string
	for _, a := range last.Applications {
		names = append(names, fmt.Sprintf("%.64s %.64s", a.Name, a.Version))
	}
	return fault.Refused("StillDeployed", fmt.Errorf("delete %s: it has %s", env.Name, strings.Join(names[:min(len(names), 10)], ", ")),
		"Where all of that shall go, say --force.")
}
