// Command verify waits until what a release applied is healthy and checks that
// what runs is what Git says. When it is not, it says why and exits 4.
package main

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/release"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Path       string        `param:"path" default:"." desc:"Folder of Chart.yaml in the workspace. Example: charts/staging"`
	Release    string        `param:"release" required:"true" desc:"Name of the Helm release. Example: staging"`
	Namespace  string        `param:"namespace" required:"true" desc:"Namespace of the release. Example: acme-staging"`
	Deployment string        `param:"deployment" desc:"Outcome of helm-apply: after superseded there is nothing to verify; after unchanged, tests that passed before do not run again. Example: deployed"`
	Run        string        `param:"run" desc:"Who deploys: the holder of the lease, the same as for helm-apply and record. With it, the lease is renewed while this program works, and the outcome is noted there for record. Example: acme-staging-lockstep/staging-1a2b3c4d5e6f"`
	Timeout    time.Duration `param:"timeout" default:"10m" desc:"How long everything together may take to become healthy, and again each Helm test. Example: 10m"`
	CrashLimit int           `param:"crash-limit" default:"3" desc:"How often a container of the new template may restart before that counts as a failure. Example: 3"`
	Grace      time.Duration `param:"grace" default:"1m" desc:"How long a pod may be unschedulable, or a registry out of reach, before that counts as a failure. Example: 1m"`
	SkipTests  bool          `param:"skip-tests" desc:"Whether to leave out the chart's Helm tests: true or false."`
	Insecure   []string      `param:"insecure" desc:"Chart registries that may be spoken to in plain HTTP, one host or host:port per line. Loopback always may."`
	CAFile     string        `param:"crtFileName" default:"ca-bundle.crt" desc:"File with PEM certificates in the workspace ssl-ca-directory."`

	Source string `workspace:"source" desc:"Checkout that was deployed. Empty: what runs is not compared with Git."`
	Docker string `workspace:"dockerconfig" desc:"Folder with a Docker config.json for the chart repositories."`
	Cache  string `workspace:"cache" desc:"Folder that keeps fetched dependencies by their digest. Empty: one below TMPDIR."`
	SSLCA  string `workspace:"ssl-ca-directory" desc:"Folder with the file crtFileName, trusted for chart repositories besides the system's certificates."`
	Creds  string `credentials:"path"`

	Outcome string `result:"outcome" desc:"verified, superseded or failed; skipped (simulated) on nodes that execute no container."`
}

func main() {
	step.Main("verify", "wait until a release is healthy and is what Git says", run)
}

func run(ctx context.Context, c *config) error {
	if c.Deployment == "superseded" {
		c.Outcome = "superseded"
		return nil
	}
	client, err := cluster.Connect(ctx, c.Namespace)
	if err != nil {
		return err
	}
	err = underLease(ctx, c, client, func(ctx context.Context) error {
		bounded, err := cluster.Connect(ctx, c.Namespace) // its requests end with the lease
		if err == nil {
			c.Outcome, err = verify(ctx, c, bounded)
		}
		return err
	})
	if err != nil {
		c.Outcome = "failed"
	}
	return errors.Join(err, note(ctx, c, client, err))
}

// note leaves the outcome on the lease: record runs also when this program's
// task failed, and then gets no results of it.
func note(ctx context.Context, c *config, client *cluster.Client, failure error) error {
	if c.Run == "" {
		return nil
	}
	client, err := client.Detached()
	if err != nil {
		return err
	}
	notes := map[string]string{"verification": c.Outcome}
	if failure != nil {
		f := fault.Of(failure)
		notes["exit-code"] = strconv.Itoa(step.ExitCode(ctx, failure))
		if notes["reason"] = f.Reason; f.Kind == fault.KindUnverified {
			notes["verification"] = unhealthy
		}
	}
	err = client.NoteLease(context.WithoutCancel(ctx), release.LeaseName(c.Release), c.Run, notes)
	if errors.Is(err, cluster.ErrLeaseLost) {
		slog.InfoContext(ctx, "this run holds no lease to note the outcome on", "run", c.Run)
		return nil
	}
	return err
}
