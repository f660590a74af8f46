// Command demo shows the main job: a push to an application's repository ends
// with the new version in the staging environment. `make demo` runs it on the
// cluster of test/cluster, `make demo CLUSTER=light` on this machine alone.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/lockstep-cd/lockstep/test/site"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := choose(os.Args[1:])(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// choose is the demo for the profile that the arguments name.
func choose(args []string) func(context.Context, io.Writer) error {
	switch strings.Join(args, " ") {
	case "full", "":
		return run
	case "light":
		return runLocal
	case "light down":
		return downLocal
	}
	return func(context.Context, io.Writer) error {
		return fmt.Errorf("usage: demo [full | light [down]], not %q", args)
	}
}

// story prints what happens, with the time since its chapter began.
type story struct {
	out     io.Writer
	chapter time.Time
}

func (s *story) begin(title string) {
	s.chapter = time.Now()
	fmt.Fprintf(s.out, "\n%s\n", title)
}

func (s *story) tell(format string, args ...any) {
	fmt.Fprintf(s.out, "  %5.1f s  %s\n", time.Since(s.chapter).Seconds(), fmt.Sprintf(format, args...))
}

func (s *story) step(task, step string, took time.Duration, well bool) {
	state := ""
	if !well {
		state = "  FAILED"
	}
	s.tell("%-20s %-16s %3.0f s%s", task, step, took.Seconds(), state)
}

func run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	st := &story{out: out}
	s, err := site.New(".", st.tell)
	if err != nil {
		return err
	}
	st.begin("1. Lockstep, two services and the environment staging are set up")
	if err := s.Install(ctx); err != nil {
		return err
	}
	st.tell("wait until staging is deployed")
	if err := follow(st, s.Logs)(s.Settled(ctx)); err != nil {
		return fmt.Errorf("staging is not deployed: %w\nmend its repository, %s, or start anew: cd test/cluster && go run . full clean", err, s.RepositoryURL(s.EnvironmentRepository()))
	}
	return pushAndFollow(ctx, st, s)
}

// follow turns a run that ended badly into an error with its logs.
func follow(st *story, logs func(context.Context, site.Run) string) func(site.Run, error) error {
	return func(r site.Run, err error) error {
		if err != nil {
			return err
		}
		if _, well := r.Finished(); !well {
			return fmt.Errorf("run %s/%s: %s\n%s", r.Metadata.Namespace, r.Metadata.Name, r.Why(), logs(context.Background(), r))
		}
		st.tell("run %s/%s is done", r.Metadata.Namespace, r.Metadata.Name)
		return nil
	}
}

func pushAndFollow(ctx context.Context, st *story, s *site.Site) error {
	dir, err := os.MkdirTemp("", "lockstep-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	checkout, err := s.Clone(ctx, "user-service", dir)
	if err != nil {
		return err
	}
	st.begin("2. A developer pushes a change of user-service")
	answer := "hello, it is " + time.Now().UTC().Format(time.RFC3339)
	if err := site.SetAnswer(checkout, answer); err != nil {
		return err
	}
	commit, err := checkout.Push(ctx, "feat: say what time it is")
	if err != nil {
		return err
	}
	st.tell("git push: commit %.12s, which makes user-service answer %q", commit, answer)
	build, err := s.RunOf(ctx, s.Applications, commit)
	if err != nil {
		return err
	}
	st.tell("the webhook started run %s/%s", build.Metadata.Namespace, build.Metadata.Name)
	build, err = s.Finish(ctx, build, st.step)
	if err := follow(st, s.Logs)(build, err); err != nil {
		return err
	}
	st.tell("user-service %s is published and committed to staging as %.12s", build.Result("version"), build.Result("environment-commit"))

	st.begin("3. That commit deploys itself")
	deploy, err := s.RunOf(ctx, s.RunNamespace(), build.Result("environment-commit"))
	if err != nil {
		return err
	}
	st.tell("the webhook started run %s/%s", deploy.Metadata.Namespace, deploy.Metadata.Name)
	deploy, err = s.Finish(ctx, deploy, st.step)
	if err := follow(st, s.Logs)(deploy, err); err != nil {
		return err
	}
	got, err := s.Answer(ctx, "user")
	if err != nil {
		return err
	}
	if !strings.Contains(got, answer) {
		return fmt.Errorf("user-service in %s answers %q, not %q", s.Namespace, got, answer)
	}
	st.tell("staging answers: %s", strings.TrimSpace(got))
	total := deploy.Status.CompletionTime.Sub(build.Metadata.CreationTimestamp)
	fmt.Fprintf(st.out, "\nFrom the push to verified pods: %.0f s.\n", total.Seconds())
	whereNext(st, s)
	return nil
}

func whereNext(st *story, s *site.Site) {
	fmt.Fprintf(st.out, `
Look at it:
  %s/%s/%s/commits/branch/main     what is deployed, as Git tells it (user %s)
  eval "$(cd test/cluster && go run . full env)"     then kubectl and the rest know the cluster
  kubectl -n %s get pods
  kubectl -n %s get pipelineruns
Try next:
  make demo          once more: it starts from what is there
  make demo-down     stops the cluster; its data stays for the next start
`, s.Gitea.URL, s.Owner, s.EnvironmentRepository(), s.Gitea.User, s.Namespace, s.RunNamespace())
}
