// Command demo tells the story of two services and two environments: a push
// that reaches staging by itself, a promotion to production by hand, a bad
// version, and the way back. It needs no more than this machine (light), or the
// cluster of test/cluster (full), or a cluster of one's own (current). `make
// demo` runs it.
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

// limit is far above what the story takes when everything has to be compiled.
const limit = 90 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := choose(os.Args[1:])(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// choose is the demo that the arguments name.
func choose(args []string) func(context.Context, io.Writer) error {
	switch strings.Join(args, " ") {
	case "light":
		return light
	case "light down":
		return lightDown
	case "full":
		return func(ctx context.Context, out io.Writer) error { return onCluster(ctx, out, fullNext) }
	case "current":
		return func(ctx context.Context, out io.Writer) error { return onCluster(ctx, out, currentNext) }
	}
	return func(context.Context, io.Writer) error {
		return fmt.Errorf("usage: demo light | light down | full | current, not %q", args)
	}
}

func light(ctx context.Context, out io.Writer) error {
	p := newPrinter(out)
	s, err := site.NewLocal(".", p.tell)
	if err != nil {
		return err
	}
	return tell(ctx, p, s, s.Applications, func() string {
		return fmt.Sprintf(lightNext, s.RepositoryURL(s.Staging().Repository()), s.State(), s.RepositoryURL("user-service"))
	})
}

func lightDown(ctx context.Context, out io.Writer) error {
	s, err := site.NewLocal(".", newPrinter(out).tell)
	if err != nil {
		return err
	}
	return s.Down(ctx)
}

func onCluster(ctx context.Context, out io.Writer, next string) error {
	p := newPrinter(out)
	s, err := site.New(".", p.tell)
	if err != nil {
		return err
	}
	return tell(ctx, p, s, s.Applications, func() string {
		commits := fmt.Sprintf("%s/%s/%s/commits/branch/main", s.Gitea.URL, s.Owner, s.Staging().Repository())
		return fmt.Sprintf(next, commits, s.Gitea.User, s.Staging().Namespace, s.Staging().RunNamespace())
	})
}

const lightNext = `
Look at it:
  git clone %s
  git log --notes=lockstep            there: what was deployed, and when
  export LOCKSTEP_STATE=%s
  .build/bin/lockstep runs            every run; runs describe NAME and runs logs NAME show one
  .build/bin/lockstep local status    where Git, the registry and the control plane are
Try next:
  push a change of your own to %s
  make demo                           once more: it starts from what is there
  make demo-down                      stops it; its data stays
  make demo CLUSTER=full              the same on a real cluster on this machine (Debian, root)
`

const clusterNext = `
Look at it:
  %s     what is deployed, as Git tells it (user %s)
  kubectl -n %s get pods
  kubectl -n %s get pipelineruns
Try next:
  make demo CLUSTER=`

const fullNext = clusterNext + `full          once more: it starts from what is there
  make demo-down CLUSTER=full     stops the cluster; its data stays for the next start
  eval "$(cd test/cluster && go run . full env)"     then kubectl and the rest know the cluster
`

const currentNext = clusterNext + `current       once more: it starts from what is there
`
