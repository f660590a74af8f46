// Command cluster runs a real Kubernetes on this machine, from programs that it compiles from their Go modules.
//
// Two profiles: light is a control plane with simulated nodes and needs nothing but Go; full is a whole cluster with
// a registry, Tekton and Gitea and needs root on Debian. README.md says more.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/progress"
)

const usage = `usage: go run . [light | full] <command>

  build          compile what the profile needs
  up             start what is not running; compile first
  down           stop what runs; data stays
  clean          stop, and remove the data (compiled programs stay)
  status         what runs, and where its log is (--json: for programs)
  env            lines for a shell: KUBECONFIG, PATH, addresses, images

  full up registry | kubernetes | gitea | tekton    start only as far as that part
  build tools                             compile only kubectl, ko and crane
  build gitea                             compile only Gitea; tells where it and its files are

Without a profile: build, down, clean and status mean both, env means full.
`

var errUsage = errors.New("asked wrongly")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if errors.Is(err, errUsage) {
		fmt.Fprintf(os.Stderr, "cluster: %v\n\n%s", err, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		os.Exit(1)
	}
}

// cluster is one of the two profiles.
type cluster interface {
	Build(ctx context.Context) error
	Up(ctx context.Context, part string) error
	Down(ctx context.Context) error
	Clean(ctx context.Context) error
	Status() (status, error)
}

func run(ctx context.Context, args []string) error {
	s, err := readSettings(os.Getenv)
	if err != nil {
		return err
	}
	log := progress.New(os.Stderr)
	light, full := newLight(s, log), newFull(s, log)
	profiles := []cluster{light, full}
	if len(args) > 0 {
		switch args[0] {
		case "light":
			profiles, args = []cluster{light}, args[1:]
		case "full":
			profiles, args = []cluster{full}, args[1:]
		}
	}
	if len(args) == 0 {
		return fmt.Errorf("%w: a command is missing", errUsage)
	}
	command, args := args[0], args[1:]
	switch {
	case command == "build" && len(args) == 1 && args[0] == "tools":
		return full.BuildTools(ctx)
	case command == "build" && len(args) == 1 && args[0] == "gitea":
		return full.BuildGitea(ctx, os.Stdout)
	case command == "up" && len(profiles) == 1 && len(args) <= 1:
		return profiles[0].Up(ctx, first(args))
	case command == "status" && (len(args) == 0 || len(args) == 1 && args[0] == "--json"):
		return printStatus(os.Stdout, profiles, len(args) == 1)
	case len(args) > 0:
		return fmt.Errorf("%w: %s takes no %q here", errUsage, command, args[0])
	case command == "build":
		return each(profiles, func(c cluster) error { return c.Build(ctx) })
	case command == "down":
		return each(profiles, func(c cluster) error { return c.Down(ctx) })
	case command == "clean":
		return each(profiles, func(c cluster) error { return c.Clean(ctx) })
	case command == "env":
		return printEnvironment(os.Stdout, profiles[len(profiles)-1])
	case command == "up":
		return fmt.Errorf("%w: which one, light or full?", errUsage)
	default:
		return fmt.Errorf("%w: unknown command %q", errUsage, command)
	}
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// each does the same to several profiles and reports what went wrong with any.
func each(profiles []cluster, do func(cluster) error) error {
	var all []error
	for _, c := range profiles {
		all = append(all, do(c))
	}
	return errors.Join(all...)
}
