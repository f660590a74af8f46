package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/test/site"
)

// place is where the story happens: a cluster, or this machine.
type place interface {
	Install(context.Context) error
	Staging() site.Environment
	Production() site.Environment
	Clone(ctx context.Context, repository, dir string) (*site.Checkout, error)
	RunOf(ctx context.Context, namespace, commit string) (site.Run, error)
	Settled(context.Context, site.Environment) (site.Run, error)
	Finish(context.Context, site.Run, func(site.Step)) (site.Run, error)
	Logs(context.Context, site.Run) string
	Promote(ctx context.Context, application, version string, e site.Environment) (commit string, err error)
	Version(ctx context.Context, e site.Environment, alias string) (string, error)
	// Crash says how the bad version comes to crash.
	Crash() string
	// Shown says what was seen of a service that should answer so.
	Shown(ctx context.Context, e site.Environment, alias, answer string) (string, error)
}

// story is one telling.
type story struct {
	*printer
	place
	applications string // namespace of the applications' runs
	dir          string // of the developer's working copies

	version, answer string // that are good
}

// chapter of the story; an error of it ends the story.
type chapter struct {
	title string
	tell  func(context.Context) error
	took  time.Duration
}

func tell(ctx context.Context, p *printer, where place, applications string, next func() string) error {
	dir, err := os.MkdirTemp("", "lockstep-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &story{printer: p, place: where, applications: applications, dir: dir}
	chapters := []chapter{
		{title: "Two services, staging (automatic) and production (by hand) are set up", tell: s.setUp},
		{title: "A developer pushes a change of user-service: staging follows by itself, production stays", tell: s.push},
		{title: "Somebody promotes that version to production", tell: s.promote},
		{title: "A bad version: it does not start, and verification says why", tell: s.pushBad},
		{title: "Staging is rolled back with a commit", tell: s.rollBack},
	}
	stop := p.move()
	defer stop()
	for i := range chapters {
		c := &chapters[i]
		p.begin(fmt.Sprintf("%d. %s", i+1, c.title))
		if err := c.tell(ctx); err != nil {
			return fmt.Errorf("chapter %d: %w", i+1, err)
		}
		c.took = p.took()
	}
	p.total(chapters)
	p.print(next())
	return nil
}

func (s *story) setUp(ctx context.Context) error {
	if err := s.Install(ctx); err != nil {
		return err
	}
	s.tell("wait until both environments are deployed")
	for _, e := range []site.Environment{s.Staging(), s.Production()} {
		r, err := s.Settled(ctx, e)
		if err != nil {
			return err
		}
		// What an earlier telling left in staging may be its bad version.
		if _, err := s.Version(ctx, e, "user"); err != nil {
			return fmt.Errorf("%s is not deployed: %w\nrun %s: %s\n%s", e.Name, err, r.Name, r.Why, s.Logs(ctx, r))
		}
	}
	return s.versions(ctx)
}

func (s *story) push(ctx context.Context) error {
	s.answer = "hello, it is " + time.Now().UTC().Format(time.RFC3339)
	build, deploy, err := s.pushAndFollow(ctx, "feat: say what time it is", func(c *site.Checkout) error {
		s.tell("user-service will answer %q", s.answer)
		return errors.Join(mend(c), site.SetAnswer(c, s.answer))
	})
	if err != nil {
		return err
	}
	if err := s.mustSucceed(ctx, deploy); err != nil {
		return err
	}
	s.version = build.Result("version")
	s.tell("from the push to the end of verification: %.0f s", deploy.Completed.Sub(build.Created).Seconds())
	return s.deployed(ctx, s.Staging())
}

// pushAndFollow changes user-service and follows until staging's run of the new
// version is over.
func (s *story) pushAndFollow(ctx context.Context, message string, change func(*site.Checkout) error) (build, deploy site.Run, err error) {
	checkout, err := s.workingCopy(ctx, "user-service")
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
	s.tell("git push: commit %.12s", commit)
	if build, err = s.follow(ctx, s.applications, commit); err != nil {
		return build, deploy, err
	}
	if err := s.mustSucceed(ctx, build); err != nil {
		return build, deploy, err
	}
	promoted, err := build.Promoted(s.Staging())
	if err != nil {
		return build, deploy, err
	}
	s.tell("user-service %s is published and promoted to staging as %.12s", build.Result("version"), promoted)
	deploy, err = s.follow(ctx, s.Staging().RunNamespace(), promoted)
	return build, deploy, err
}

func (s *story) workingCopy(ctx context.Context, repository string) (*site.Checkout, error) {
	dir, err := os.MkdirTemp(s.dir, repository+"-")
	if err != nil {
		return nil, err
	}
	return s.Clone(ctx, repository, filepath.Join(dir, repository))
}

// follow waits for the run of a commit and shows its steps.
func (s *story) follow(ctx context.Context, namespace, commit string) (site.Run, error) {
	r, err := s.RunOf(ctx, namespace, commit)
	if err != nil {
		return r, err
	}
	s.tell("the webhook started run %s/%s", r.Namespace, r.Name)
	return s.Finish(ctx, r, s.step)
}

func (s *story) mustSucceed(ctx context.Context, r site.Run) error {
	if r.Well {
		return nil
	}
	return fmt.Errorf("run %s/%s: %s\n%s", r.Namespace, r.Name, r.Why, s.Logs(ctx, r))
}

// deployed fails unless an environment holds the good version.
func (s *story) deployed(ctx context.Context, e site.Environment) error {
	if err := s.holds(ctx, e, s.version); err != nil {
		return err
	}
	shown, err := s.Shown(ctx, e, "user", s.answer)
	if err != nil {
		return err
	}
	s.tell("%s %s", e.Name, shown)
	return s.versions(ctx)
}

func (s *story) holds(ctx context.Context, e site.Environment, version string) error {
	got, err := s.Version(ctx, e, "user")
	if err != nil {
		return err
	}
	if got != version {
		return fmt.Errorf("%s holds user-service %s, not %s", e.Name, got, version)
	}
	return nil
}

func (s *story) versions(ctx context.Context) error {
	for _, e := range []site.Environment{s.Staging(), s.Production()} {
		version, err := s.Version(ctx, e, "user")
		if err != nil {
			return err
		}
		s.tell("%-12s user-service %s", e.Name, version)
	}
	return nil
}

func (s *story) promote(ctx context.Context) error {
	before, err := s.Version(ctx, s.Production(), "user")
	if err != nil {
		return err
	}
	if before == s.version {
		return fmt.Errorf("production holds %s before anybody promoted it", before)
	}
	commit, err := s.Promote(ctx, "user-service", s.version, s.Production())
	if err != nil {
		return err
	}
	s.tell("user-service %s is promoted to production as %.12s", s.version, commit)
	r, err := s.follow(ctx, s.Production().RunNamespace(), commit)
	if err != nil {
		return err
	}
	if err := s.mustSucceed(ctx, r); err != nil {
		return err
	}
	return s.deployed(ctx, s.Production())
}

// The bad version wants what nobody gives it. Its chart asks simulated nodes,
// which execute nothing, to show the crash that every real node has.
const (
	mainFile       = "main.go"
	goodStart      = "\tctx, stop := signal.NotifyContext("
	badCause       = "DATABASE_URL is not set"
	badStart       = "\tif os.Getenv(\"DATABASE_URL\") == \"\" {\n\t\tlog.Fatal(\"" + badCause + "\")\n\t}\n" + goodStart
	deploymentFile = "charts/user-service/templates/deployment.yaml"
	goodPod        = "  template:\n    metadata:\n"
	badPod         = goodPod + "      annotations:\n        simulated.lockstep.dev/container: CrashLoopBackOff\n"
)

func (s *story) pushBad(ctx context.Context) error {
	build, deploy, err := s.pushAndFollow(ctx, "feat: remember users in a database", func(c *site.Checkout) error {
		return errors.Join(c.Replace(mainFile, goodStart, badStart), c.Replace(deploymentFile, goodPod, badPod))
	})
	if err != nil {
		return err
	}
	s.tell("%s", s.Crash())
	if deploy.Well {
		return fmt.Errorf("run %s/%s: the bad version %s was deployed", deploy.Namespace, deploy.Name, build.Result("version"))
	}
	logs := s.Logs(ctx, deploy)
	const cause = "crashed"
	line := lineWith(logs, cause)
	if line == "" {
		return fmt.Errorf("run %s/%s failed without its cause, %q:\n%s", deploy.Namespace, deploy.Name, cause, logs)
	}
	s.tell("the run failed and says why: %.200s", line)
	if line := lineWith(logs, badCause); line != "" {
		s.tell("the container's log is there, too: %.200s", line)
	}
	if err := s.holds(ctx, s.Production(), s.version); err != nil {
		return err
	}
	return s.versions(ctx)
}

// lineWith is the first line that holds a text, or "".
func lineWith(lines, text string) string {
	for line := range strings.Lines(lines) {
		if strings.Contains(line, text) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// mend takes the bad change back, where it is there.
func mend(c *site.Checkout) error {
	bad, err := c.Contains(mainFile, badCause)
	if err != nil || !bad {
		return err
	}
	return errors.Join(c.Replace(mainFile, badStart, goodStart), c.Replace(deploymentFile, badPod, goodPod))
}

func (s *story) rollBack(ctx context.Context) error {
	checkout, err := s.workingCopy(ctx, s.Staging().Repository())
	if err != nil {
		return err
	}
	commit, err := checkout.Revert(ctx, "HEAD")
	if err != nil {
		return err
	}
	s.tell("git revert HEAD in the environment's repository: commit %.12s", commit)
	r, err := s.follow(ctx, s.Staging().RunNamespace(), commit)
	if err != nil {
		return err
	}
	if err := s.mustSucceed(ctx, r); err != nil {
		return err
	}
	if err := s.deployed(ctx, s.Staging()); err != nil {
		return err
	}
	return s.takeBack(ctx)
}

// takeBack leaves an application that the next push can build on. What it
// changes is deployed already.
func (s *story) takeBack(ctx context.Context) error {
	checkout, err := s.workingCopy(ctx, "user-service")
	if err != nil {
		return err
	}
	if err := mend(checkout); err != nil {
		return err
	}
	commit, err := checkout.Push(ctx, "fix: take the database back [skip ci]")
	if err != nil {
		return err
	}
	s.tell("the developer takes the change back: commit %.12s, with [skip ci], starts no run", commit)
	return nil
}
