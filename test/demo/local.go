package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/runner"
	"github.com/lockstep-cd/lockstep/test/site"
)

// localDemo tells the story on this machine, without a cluster of its own.
type localDemo struct {
	*story
	site *site.Local
	dir  string // of the developer's working copies
}

func runLocal(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Minute)
	defer cancel()
	st := &story{out: out}
	s, err := site.NewLocal(".", st.tell)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lockstep-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &localDemo{story: st, site: s, dir: dir}
	begun := time.Now()
	var version string
	for i, chapter := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"Two services, staging (automatic) and production (by hand) are set up on this machine", d.setUp},
		{"A developer pushes a change of user-service: staging follows by itself, production stays", func(ctx context.Context) (err error) {
			version, err = d.push(ctx, "feat: say what time it is", d.newAnswer)
			return err
		}},
		{"Somebody promotes that version to production", func(ctx context.Context) error { return d.promote(ctx, version) }},
		{"A bad version: its chart asks for rights that the environment does not give", func(ctx context.Context) error { return d.bad(ctx, version) }},
		{"Staging is rolled back with a commit", func(ctx context.Context) error { return d.rollBack(ctx, version) }},
	} {
		st.begin(fmt.Sprintf("%d. %s", i+1, chapter.title))
		if err := chapter.tell(ctx); err != nil {
			return fmt.Errorf("chapter %d: %w", i+1, err)
		}
	}
	fmt.Fprintf(out, "\nAll chapters took %.0f s.\n", time.Since(begun).Seconds())
	d.whereNext()
	return nil
}

func downLocal(ctx context.Context, out io.Writer) error {
	st := &story{out: out}
	s, err := site.NewLocal(".", st.tell)
	if err != nil {
		return err
	}
	return s.Down(ctx)
}

func (d *localDemo) staging() site.Environment    { return d.site.Environments[0] }
func (d *localDemo) production() site.Environment { return d.site.Environments[1] }

func (d *localDemo) setUp(ctx context.Context) error {
	if err := d.site.Install(ctx); err != nil {
		return err
	}
	for _, e := range d.site.Environments {
		r, err := d.site.Settled(ctx, e)
		if err != nil {
			return err
		}
		d.tell("%s: run %s %s", e.Name, r.Name, strings.ToLower(r.State))
	}
	return d.versions(ctx)
}

func (d *localDemo) newAnswer(c *site.Checkout) error {
	answer := "hello, it is " + time.Now().UTC().Format(time.RFC3339)
	d.tell("user-service will answer %q", answer)
	return site.SetAnswer(c, answer)
}

// push changes user-service, and follows until the new version is in staging.
func (d *localDemo) push(ctx context.Context, message string, change func(*site.Checkout) error) (version string, err error) {
	build, deploy, err := d.pushAndFollow(ctx, message, change)
	if err != nil {
		return "", err
	}
	if err := d.mustSucceed(ctx, deploy); err != nil {
		return "", err
	}
	version = site.Result(build, "version")
	d.tell("staging holds user-service %s; its nodes are simulated, so that its containers run was not verified", version)
	return version, d.expect(ctx, d.staging(), version)
}

func (d *localDemo) pushAndFollow(ctx context.Context, message string, change func(*site.Checkout) error) (build, deploy runner.Record, err error) {
	dir, err := os.MkdirTemp(d.dir, "user-service-")
	if err != nil {
		return build, deploy, err
	}
	checkout, err := d.site.Clone(ctx, "user-service", filepath.Join(dir, "checkout"))
	if err != nil {
		return build, deploy, err
	}
	if err := change(checkout); err != nil {
		return build, deploy, err
	}
	commit, err := checkout.Push(ctx, message)
	if err != nil {
		return build, deploy, err
	}
	d.tell("git push: commit %.12s", commit)
	if build, err = d.follow(ctx, d.site.Applications, commit); err != nil {
		return build, deploy, err
	}
	if err := d.mustSucceed(ctx, build); err != nil {
		return build, deploy, err
	}
	d.tell("user-service %s is published and committed to staging as %.12s", site.Result(build, "version"), site.Result(build, "environment-commit"))
	deploy, err = d.follow(ctx, d.staging().RunNamespace(), site.Result(build, "environment-commit"))
	return build, deploy, err
}

// follow waits for the run of a commit and shows its steps.
func (d *localDemo) follow(ctx context.Context, namespace, commit string) (runner.Record, error) {
	r, err := d.site.RunOf(ctx, namespace, commit)
	if err != nil {
		return r, err
	}
	d.tell("the webhook started run %s", r.Name)
	return d.site.Finish(ctx, r, d.step)
}

func (d *localDemo) mustSucceed(ctx context.Context, r runner.Record) error {
	if r.State == runner.StateSucceeded {
		return nil
	}
	return fmt.Errorf("run %s: %s: %s\n%s", r.Name, r.Reason, r.Message, d.site.Logs(ctx, r))
}

// expect fails unless an environment holds a version of user-service.
func (d *localDemo) expect(ctx context.Context, e site.Environment, version string) error {
	got, err := d.site.Version(ctx, e, "user")
	if err != nil {
		return err
	}
	if got != version {
		return fmt.Errorf("%s holds user-service %s, not %s", e.Name, got, version)
	}
	return d.versions(ctx)
}

func (d *localDemo) versions(ctx context.Context) error {
	for _, e := range d.site.Environments {
		version, err := d.site.Version(ctx, e, "user")
		if err != nil {
			return err
		}
		d.tell("%-12s user-service %s", e.Name, version)
	}
	return nil
}

func (d *localDemo) promote(ctx context.Context, version string) error {
	before, err := d.site.Version(ctx, d.production(), "user")
	if err != nil {
		return err
	}
	if before == version {
		return fmt.Errorf("production holds %s before anybody promoted it", version)
	}
	commit, err := d.site.Promote(ctx, "user-service", version, d.production())
	if err != nil {
		return err
	}
	d.tell("lockstep run tasks/update-environment … committed user-service %s to production as %.12s", version, commit)
	r, err := d.follow(ctx, d.production().RunNamespace(), commit)
	if err != nil {
		return err
	}
	if err := d.mustSucceed(ctx, r); err != nil {
		return err
	}
	return d.expect(ctx, d.production(), version)
}

// bad pushes a version whose pods the API server refuses: that is real, also on
// simulated nodes.
func (d *localDemo) bad(ctx context.Context, good string) error {
	_, deploy, err := d.pushAndFollow(ctx, "feat: become root", func(c *site.Checkout) error {
		return c.Replace("charts/user-service/templates/deployment.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true")
	})
	if err != nil {
		return err
	}
	if deploy.State != runner.StateFailed {
		return fmt.Errorf("run %s: the bad version was deployed", deploy.Name)
	}
	logs := d.site.Logs(ctx, deploy)
	const cause = "violates PodSecurity"
	if !strings.Contains(logs, cause) {
		return fmt.Errorf("run %s failed without its cause, %q:\n%s", deploy.Name, cause, logs)
	}
	for line := range strings.Lines(logs) {
		if strings.Contains(line, cause) {
			d.tell("it failed, and says why: %.160s …", strings.TrimSpace(line))
			break
		}
	}
	return d.expect(ctx, d.production(), good)
}

func (d *localDemo) rollBack(ctx context.Context, good string) error {
	checkout, err := d.site.Clone(ctx, d.staging().Repository(), filepath.Join(d.dir, "staging"))
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"revert", "--no-edit", "HEAD"}, {"push", "-q", "origin", "HEAD"}} {
		if _, err := checkout.Git(ctx, args...); err != nil {
			return err
		}
	}
	commit, err := checkout.Git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	d.tell("git revert HEAD in the environment's repository: commit %.12s", commit)
	r, err := d.follow(ctx, d.staging().RunNamespace(), commit)
	if err != nil {
		return err
	}
	if err := d.mustSucceed(ctx, r); err != nil {
		return err
	}
	return d.expect(ctx, d.staging(), good)
}

func (d *localDemo) whereNext() {
	fmt.Fprintf(d.out, `
Look at it:
  git clone %s
  git log --notes=lockstep            there: what was deployed, and when
  export LOCKSTEP_STATE=.build/local
  .build/bin/lockstep runs            every run; runs describe NAME and runs logs NAME show one
  .build/bin/lockstep local status    where Git, the registry and the control plane are
Try next:
  push a change of your own to %s
  make demo CLUSTER=light             once more: it starts from what is there
  make demo-down CLUSTER=light        stops it; its data stays
`, d.site.RepositoryURL(d.staging().Repository()), d.site.RepositoryURL("user-service"))
}
