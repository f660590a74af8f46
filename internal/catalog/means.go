package catalog

import (
	"time"

	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// Means is what the contracts of the programs that change a catalog have in common:
// where it is, in whose name they commit, and how they reach repositories.
type Means struct {
	Environments string `param:"environments" required:"true" desc:"Git repository of environments.yaml. Example: https://git.example.com/acme/environments"`
	File         string `param:"environments-file" default:"environments.yaml" desc:"The file's path in the Git repository."`
	Revision     string `param:"environments-revision" desc:"Branch of that repository. Empty: its default branch."`
	Forge        string `param:"forge" desc:"What the Git host is: github, gitlab, gitea, bitbucket or bitbucket-server. Empty: known by its name, else asked of it."`

	git.Identity
	git.Login
	signature.Folder
}

// Catalog is the one that is meant; patience is how long races may be lost.
func (m *Means) Catalog(patience time.Duration) (Catalog, error) {
	key, err := m.Key()
	return Catalog{
		Where: m.Environments, Path: m.File, Revision: git.BranchRef(m.Revision), Key: key, Patience: patience,
		Open:   m.Opener(patience),
		Author: m.Author(), Committer: m.Committer(),
	}, err
}

// Kind of the Git host.
func (m *Means) Kind() forge.Kind { return forge.Kind(m.Forge) }
