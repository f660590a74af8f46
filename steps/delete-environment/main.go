// Command delete-environment takes an environment out of environments.yaml, by a commit
// that says so. What it has in a cluster is taken away by reconcile.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Name         string        `param:"name" required:"true" desc:"Name of the environment. Example: qa"`
	Force        bool          `param:"force" desc:"Whether to go on while something is deployed there. Otherwise that is refused."`
	Repository   bool          `param:"delete-repository" desc:"Whether to delete its repository as well, with all of its history."`
	Forge        string        `param:"forge" desc:"What the Git host is: github, gitlab, gitea, bitbucket or bitbucket-server. Empty: known by its name, else asked of it."`
	Environments string        `param:"environments" required:"true" desc:"Git repository of environments.yaml. Example: https://git.example.com/acme/environments"`
	File         string        `param:"environments-file" default:"environments.yaml" desc:"The file's path in the Git repository."`
	Revision     string        `param:"environments-revision" desc:"Branch of that repository. Empty: its default branch."`
	AuthorName   string        `param:"author-name" default:"Lockstep" desc:"Name of the commit's author."`
	AuthorEmail  string        `param:"author-email" default:"lockstep@lockstep.dev" desc:"E-mail of the commit's author."`
	Timeout      time.Duration `param:"timeout" default:"5m" desc:"How long all of it may take. Example: 10m"`

	git.Login
	signature.Folder

	Commit  string `result:"commit" desc:"The 40-hex commit of environments.yaml without the entry. Empty: it was gone before."`
	Changed string `result:"changed" desc:"true when something was taken away, else false."`
}

func main() {
	step.Main("delete-environment", "take an environment out of environments.yaml", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	key, err := c.Key()
	if err != nil {
		return err
	}
	open := func(url string) (*git.Remote, error) { return git.NewRemote(url, c.Access(c.Timeout)) }
	known, err := promotion.Environments(ctx, c.Environments, c.File, c.Revision, open)
	if err != nil {
		return err
	}
	in := catalog.Catalog{
		Where: c.Environments, Path: c.File, Revision: c.Revision, Open: open, Key: key, Patience: c.Timeout,
		Author: git.Signature{Name: c.AuthorName, Email: c.AuthorEmail},
	}
	gone, err := in.Delete(ctx, known, c.Name, c.Force, c.Repository, forge.Kind(c.Forge))
	if err != nil {
		return err
	}
	c.Commit, c.Changed = string(gone.Entry.Commit), fmt.Sprint(gone.Entry.Done)
	slog.InfoContext(ctx, "gone", "environment", c.Name, "repository", gone.Repository, "commit", gone.Entry.Commit.Short(), "changed", c.Changed)
	return nil
}
