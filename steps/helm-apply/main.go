// Command helm-apply deploys an environment's chart into its namespace: one
// deployment at a time, the newest commit wins, an ordinary Helm release.
package main

import (
	"context"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	URL             string        `param:"url" desc:"Repository of the environment. With it, the tip of branch is read under the lease and deployed, whatever the workspace holds. Empty: path is deployed as it is. Example: https://git.example.com/acme/environment-staging.git"`
	Branch          string        `param:"branch" desc:"Branch of url. Empty: the repository's default branch. Example: main"`
	Path            string        `param:"path" default:"." desc:"Folder of Chart.yaml in the workspace. Example: charts/staging"`
	Release         string        `param:"release" required:"true" desc:"Name of the Helm release. Example: staging"`
	Namespace       string        `param:"namespace" required:"true" desc:"Namespace of the release. Example: acme-staging"`
	CreateNamespace bool          `param:"create-namespace" desc:"Whether to create the namespace when it is missing: true or false."`
	Values          []string      `param:"values" desc:"Values files beside the chart's own, relative to path, one per line; a later one wins. Example: values-eu.yaml"`
	DryRun          bool          `param:"dry-run" desc:"Whether to show what would change, with the values of Secrets hidden, and change nothing: true or false."`
	Timeout         time.Duration `param:"timeout" default:"10m" desc:"How long rendering, applying and the chart's hooks may take together. Example: 10m"`
	LeaseTimeout    time.Duration `param:"lease-timeout" default:"30m" desc:"How long to wait while another deployment of this release holds its lease. Example: 30m"`
	KeepLease       time.Duration `param:"keep-lease" desc:"How long the lease lasts after this step. verify renews it for the same time, and record ends it. Empty: it ends with this step. Example: 20m"`
	Run             string        `param:"run" desc:"Who deploys: the holder of the lease, the same for helm-apply and record. Empty: this process. Example: acme-staging-lockstep/staging-1a2b3c4d5e6f"`
	Insecure        []string      `param:"insecure" desc:"Chart registries that may be spoken to in plain HTTP, one host or host:port per line. Loopback always may."`

	git.Login
	signature.Allowed

	Source string `workspace:"source" required:"true" checkout:"true" desc:"Checkout of the environment's repository. With url it may be empty, and is brought to the tip."`
	Docker string `workspace:"dockerconfig" desc:"Folder with a Docker config.json for the chart repositories."`
	Cache  string `workspace:"cache" desc:"Folder that keeps fetched dependencies by their digest. Empty: one below TMPDIR."`

	Outcome  string `result:"outcome" desc:"deployed, unchanged, superseded or failed; empty after a dry run that found changes."`
	Revision string `result:"revision" desc:"Number of the release's revision, empty when there is none. Example: 12"`
	Commit   string `result:"commit" desc:"The 40-hex commit that was deployed or found deployed, empty when path is no Git checkout."`
}

func main() {
	step.Main("helm-apply", "deploy an environment's chart as a Helm release", run)
}

func run(ctx context.Context, c *config) error {
	d, err := newDeployment(ctx, c)
	if err != nil {
		return err
	}
	if c.DryRun {
		return d.show(ctx)
	}
	err = d.underLease(ctx, d.deploy)
	if err != nil {
		c.Outcome = "failed"
	}
	return err
}
