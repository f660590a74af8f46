// Command record writes down what became of a deployment – a Git note on the
// deployed commit – and ends the lease that helm-apply kept. When asked to, it
// then sets a commit status.
package main

import (
	"context"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	URL         string        `param:"url" desc:"Repository of the environment, for the note. Required unless commit is empty. Example: https://git.example.com/acme/environment-staging.git"`
	Commit      string        `param:"commit" desc:"The 40-hex commit that was deployed; helm-apply's result. Empty: what helm-apply noted on the lease, else no note is written."`
	Environment string        `param:"environment" desc:"Name of the environment. Empty: the release's name. Example: staging"`
	Release     string        `param:"release" required:"true" desc:"Name of the Helm release. Example: staging"`
	Namespace   string        `param:"namespace" required:"true" desc:"Namespace of the release. Example: acme-staging"`
	Run         string        `param:"run" required:"true" desc:"Who deployed: the holder of the lease, the same as for helm-apply. Example: acme-staging-lockstep/staging-1a2b3c4d5e6f"`
	Deployment  string        `param:"deployment" desc:"Outcome of helm-apply: deployed, unchanged, superseded or failed. Empty: what it noted on the lease, else it did not come that far."`
	Verified    string        `param:"verification" desc:"Outcome of verify: verified, superseded, failed, unhealthy or skipped (simulated). Empty: what it noted on the lease, else nothing was verified."`
	Status      string        `param:"status" default:"Succeeded" desc:"Status of the task that deployed, as Tekton says it: Succeeded, Completed, Failed or None."`
	Reason      string        `param:"reason" desc:"Why it failed: a CamelCase class. Empty: what helm-apply or verify noted on the lease. Example: ImagePullBackOff"`
	ExitCode    int           `param:"exit-code" desc:"Exit code of the step that failed: after 2, 3 and 4, reconcile does not try again. Empty: what helm-apply or verify noted on the lease, else unknown. Example: 1"`
	AuthorName  string        `param:"author-name" default:"Lockstep" desc:"Name of the note's author."`
	AuthorEmail string        `param:"author-email" default:"lockstep@lockstep.dev" desc:"E-mail address of the note's author. Example: ci@example.com"`
	Timeout     time.Duration `param:"timeout" default:"2m" desc:"How long all of it may take. Example: 2m"`

	WithStatus    bool          `param:"commit-status" desc:"Whether to set the status lockstep/<environment> on the commit, once it is on record. A status that cannot be set is missing, not a failure."`
	StatusTimeout time.Duration `param:"commit-status-timeout" default:"15s" desc:"How long setting the commit status may take, with all that is tried again. Example: 15s"`
	Forge         string        `param:"forge" desc:"What the environment's Git host is, for the commit status: github, gitlab, gitea, bitbucket or bitbucket-server. Empty: known by its name, else asked of it."`
	RunURL        string        `param:"run-url" desc:"Page of a run, which the commit status leads to; {namespace} and {name} stand for the run's. Empty: the status leads to the repository. Example: https://tekton.example.com/#/namespaces/{namespace}/pipelineruns/{name}"`

	git.Login
	signature.Folder

	Record       string `result:"record" desc:"State that was recorded: verified, deployed, failed or superseded; empty when nothing was deployed."`
	CommitStatus string `result:"commit-status" desc:"set, or missing when the forge did not take it; empty when commit-status is false, nothing was deployed, or a newer commit was."`
}

func main() {
	step.Main("record", "record a deployment as a Git note, end its lease, and set a commit status", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return record(ctx, c)
}
