// Command delete-environment takes an environment out of environments.yaml, by a commit
// that says so. What it has in a cluster is taken away by reconcile.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Name       string        `param:"name" required:"true" desc:"Name of the environment. Example: qa"`
	Force      bool          `param:"force" desc:"Whether to go on while something is deployed there. Otherwise that is refused."`
	Repository bool          `param:"delete-repository" desc:"Whether to delete its repository as well, with all of its history."`
	Timeout    time.Duration `param:"timeout" default:"5m" desc:"How long all of it may take. Example: 10m"`

	catalog.Means

	Commit  string `result:"commit" desc:"The 40-hex commit of environments.yaml without the entry. Empty: it was gone before."`
	Changed string `result:"changed" desc:"true when something was taken away, else false."`
}

func main() {
	step.Main("delete-environment", "take an environment out of environments.yaml", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	in, err := c.Catalog(c.Timeout)
	if err != nil {
		return err
	}
	gone, err := in.Delete(ctx, c.Name, c.Force, c.Repository, c.Kind())
	if err != nil {
		return err
	}
	c.Commit, c.Changed = string(gone.Entry.Commit), fmt.Sprint(gone.Entry.Done)
	slog.InfoContext(ctx, "gone", "environment", c.Name, "repository", gone.Repository, "commit", gone.Entry.Commit.Short(), "changed", c.Changed)
	return nil
}
