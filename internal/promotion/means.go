package promotion

import (
	"time"

	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// Means is what the contracts of the programs that promote have in common: in whose
// name they commit, and how they reach repositories, charts and forges.
type Means struct {
	Run            string        `param:"run" desc:"Run that does this: namespace/name"`
	SkipChartCheck bool          `param:"skip-chart-check" desc:"Whether to go on without looking whether the chart is published."`
	ChartTimeout   time.Duration `param:"chart-timeout" default:"2m" desc:"How long to wait for the chart to be published. Example: 5m"`
	Insecure       []string      `param:"insecure" desc:"Chart registries that may be spoken to in plain HTTP, one host or host:port per line. Loopback always may."`
	Forge          string        `param:"forge" desc:"What the Git host is, where it takes pull requests: github, gitlab, gitea, bitbucket or bitbucket-server. Empty: known by its name, else asked of it."`
	MergeMethod    string        `param:"merge-method" desc:"How to merge: merge, squash or rebase. Empty: as the forge does by itself."`

	git.Identity
	git.Login
	signature.Folder
	Docker string `workspace:"dockerconfig" desc:"Folder with a Docker config.json for the chart repositories."`
}

// Promotion is one without anything that is to be promoted.
func (m *Means) Promotion(patience time.Duration) (Promotion, error) {
	key, err := m.Key()
	if err != nil {
		return Promotion{}, err
	}
	p := Promotion{
		Run: m.Run, Author: m.Author(), Committer: m.Committer(), Key: key, Patience: patience,
	}
	if m.SkipChartCheck {
		return p, nil
	}
	client, err := registry.New(registry.Access{
		DockerConfig: registry.FindDockerConfig(m.Docker, m.Creds), Insecure: m.Insecure, CAFile: m.CAFile(),
	})
	if err != nil {
		return Promotion{}, err
	}
	p.Published = (&registry.Publications{Client: client, Patience: m.ChartTimeout}).Await
	return p, nil
}

// PullRequests are opened and, where merge says so, merged, which may take so long.
func (m *Means) PullRequests(merge bool, patience time.Duration) PullRequests {
	how := PullRequests{Forge: forge.Kind(m.Forge), Method: forge.Method(m.MergeMethod), Merge: merge}
	if merge {
		how.Wait = patience
	}
	return how
}
