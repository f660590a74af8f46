// Command create-environment makes an environment: its repository with a first commit,
// and its entry in environments.yaml. What it needs in a cluster is made by reconcile.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Name      string        `param:"name" required:"true" desc:"Name of the environment: lower-case letters, digits and hyphens. Example: qa"`
	From      string        `param:"from" desc:"Environment whose files it begins with. Example: staging"`
	Template  string        `param:"template" desc:"URL of a repository that it begins with, in the place of from."`
	URL       string        `param:"repository" desc:"URL of its repository, which is made where it is not there. Empty: environment-<name> beside the others. Example: https://git.example.com/acme/environment-qa.git"`
	Branch    string        `param:"branch" desc:"Branch that is deployed. Empty: that of from, else the repository's default branch."`
	Path      string        `param:"path" desc:"Folder of Chart.yaml in the repository. Empty: that of from, else the root."`
	Namespace string        `param:"namespace" desc:"Namespace of its release. Empty: that of from with the new name in it, else the name. Example: acme-qa"`
	Strategy  string        `param:"promotion" desc:"Auto, Manual or Never. Empty: Manual."`
	Delivery  string        `param:"delivery" desc:"commit or pull-request. Empty: that of from, else commit."`
	After     []string      `param:"after" desc:"Environments that must have verified a version before, one name per line."`
	Soak      string        `param:"soak" desc:"How long those must have had it. Example: 2h"`
	Frozen    bool          `param:"frozen" desc:"Whether nothing gets in but rollbacks."`
	Public    bool          `param:"public" desc:"Whether everybody may read a repository that is made."`
	Protect   bool          `param:"protect" desc:"Whether nobody may rewrite or delete the branch."`
	Timeout   time.Duration `param:"timeout" default:"5m" desc:"How long all of it may take. Example: 10m"`

	catalog.Means

	Repository string `result:"repository" desc:"URL of the environment's repository."`
	Commit     string `result:"commit" desc:"The 40-hex commit of environments.yaml that has the entry."`
	Changed    string `result:"changed" desc:"true when something was made, else false."`
}

func main() {
	step.Main("create-environment", "make an environment's repository and its entry in environments.yaml", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	in, err := c.Catalog(c.Timeout)
	if err != nil {
		return err
	}
	made, err := in.Create(ctx, catalog.Request{
		Name: c.Name, From: c.From, Template: c.Template, Keys: c.keys(),
		Hosting: catalog.Hosting{Kind: c.Kind(), Public: c.Public, Protect: c.Protect},
	})
	if err != nil {
		return err
	}
	changed := made.Repository.Created || made.Repository.Filled || made.Repository.Protected || made.Entry.Done
	c.Repository, c.Commit, c.Changed = made.Environment.Repository, string(made.Entry.Commit), fmt.Sprint(changed)
	slog.InfoContext(ctx, "there", "environment", c.Name, "repository", c.Repository, "commit", made.Entry.Commit.Short(), "changed", changed)
	return nil
}

// keys are those of the entry that were given.
func (c *config) keys() []edit.Pair {
	var pairs []edit.Pair
	for _, p := range []struct{ key, value string }{
		{"repository", c.URL}, {"branch", c.Branch}, {"path", c.Path}, {"namespace", c.Namespace}, {"promotion", c.Strategy}, {"delivery", c.Delivery},
	} {
		if p.value != "" {
			pairs = append(pairs, edit.Pair{Key: p.key, Value: p.value})
		}
	}
	if len(c.After) > 0 {
		pairs = append(pairs, edit.Pair{Key: "after", Value: c.After})
	}
	if c.Soak != "" {
		pairs = append(pairs, edit.Pair{Key: "soak", Value: c.Soak})
	}
	if c.Frozen {
		pairs = append(pairs, edit.Pair{Key: "frozen", Value: true})
	}
	return pairs
}
