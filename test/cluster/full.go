package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/image"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/progress"
)

// full is a whole cluster of one node, with what Lockstep's pipelines need around it: a registry, Tekton, Gitea.
type full struct{ profile }

func newFull(s settings, log *progress.Log) full { return full{newProfile("full", s, log)} }

// parts of full in the order in which they start; Tekton, which takes longest, comes last.
func fullParts() []string { return []string{"registry", "kubernetes", "gitea", "tekton"} }

// fullServers in the order of their start.
func fullServers() []string {
	return []string{
		"registry", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
		"containerd", "kubelet", "kube-proxy", "coredns", "gitea",
	}
}

func tools() []string { return []string{"kubectl", "ko", "crane"} }

func (f full) Build(ctx context.Context) error {
	if err := f.requireRoot(); err != nil {
		return err
	}
	if err := f.alone(ctx, func() error { return f.installPackages(ctx) }); err != nil {
		return err
	}
	return f.programs.build(ctx, append([]string{
		"pause", controlPlane, "kubelet", "kube-proxy", "coredns", "gitea",
	}, tools()...)...)
}

// BuildTools compiles what people and the Makefile use beside the cluster.
func (f full) BuildTools(ctx context.Context) error { return f.programs.build(ctx, tools()...) }

// BuildGitea compiles Gitea alone, for tests that start one of their own, and
// tells where the program is and where the source is that it reads files from.
func (f full) BuildGitea(ctx context.Context, out io.Writer) error {
	if err := f.programs.build(ctx, "gitea"); err != nil {
		return err
	}
	program, err := f.programs.path("gitea")
	if err != nil {
		return err
	}
	source, err := f.programs.source(ctx, "gitea", "code.gitea.io/gitea")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "program %s\nsource %s\n", program, source)
	return err
}

func (f full) Up(ctx context.Context, last string) error {
	if last != "" && !slices.Contains(fullParts(), last) {
		return fmt.Errorf("%w: full has no part %q, only %v", errUsage, last, fullParts())
	}
	if err := f.Build(ctx); err != nil {
		return err
	}
	return f.alone(ctx, func() error { return f.start(ctx, last) })
}

func (f full) start(ctx context.Context, last string) error {
	starts := map[string]func(context.Context) error{
		"registry": f.startRegistry, "kubernetes": f.startKubernetes, "tekton": f.startTekton, "gitea": f.startGitea,
	}
	for _, part := range fullParts() {
		if err := f.log.Do("starting "+part, func() error { return starts[part](ctx) }); err != nil {
			return err
		}
		if part == last {
			break
		}
	}
	f.log.Printf("ready: eval \"$(cd test/cluster && go run . env)\"")
	return nil
}

func (f full) Down(ctx context.Context) error {
	return f.alone(ctx, func() error { return f.stopAll(ctx) })
}

func (f full) stopAll(ctx context.Context) error {
	if len(f.table.Names()) == 0 {
		return nil
	}
	// The kubelet goes before the containers, or it would start them again.
	if err := f.stopOne(ctx, "kubelet"); err != nil {
		return err
	}
	if f.table.PID("containerd") != 0 {
		if err := f.killContainers(ctx); err != nil {
			return err
		}
	}
	return f.stop(ctx, reversed(fullServers()))
}

func (f full) Clean(ctx context.Context) error {
	if _, err := os.Stat(f.dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := f.requireRoot(); err != nil {
		return err
	}
	return f.alone(ctx, func() error {
		if err := f.stopAll(ctx); err != nil {
			return err
		}
		if err := f.removeNetwork(ctx); err != nil {
			return err
		}
		if err := unmountBelow(f.dir); err != nil {
			return err
		}
		return errors.Join(os.RemoveAll(f.dir), os.RemoveAll(giteaDir))
	})
}

func (f full) requireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("full needs root: it makes network devices and containers (light does not)")
	}
	return nil
}

func (f full) Status() (status, error) {
	list, running := servers(f.table, fullServers())
	environment, err := f.environment()
	return status{
		Profile: "full", Running: running, Data: f.dir, Kubeconfig: f.kubeconfig(), Servers: list, Environment: environment,
	}, err
}

// environment tells where everything is. Passwords are named by their file.
func (f full) environment() ([]variable, error) {
	kubernetes, err := f.programs.dir("kubernetes")
	if err != nil {
		return nil, err
	}
	tools, err := f.programs.dir("tools")
	if err != nil {
		return nil, err
	}
	v := f.values()
	list := []variable{
		{"PATH", kubernetes + string(filepath.ListSeparator) + tools},
		{"KUBECONFIG", f.kubeconfig()},
		{"LOCKSTEP_CLUSTER", "full"},
		{"LOCKSTEP_NODE_IP", v.NodeIP},
		{"LOCKSTEP_REGISTRY", f.registry().Host},
		{"LOCKSTEP_REGISTRY_IN_CLUSTER", v.NodeIP + ":" + strconv.Itoa(v.RegistryPort)},
		{"LOCKSTEP_GITEA_URL", f.giteaURL()},
		{"LOCKSTEP_GITEA_USER", giteaAdmin},
		{"LOCKSTEP_GITEA_PASSWORD_FILE", f.giteaPasswordFile()},
	}
	images := f.images()
	for _, name := range []string{"static", "busybox", "go", "userland"} {
		if reference := images[name]; reference != "" {
			list = append(list, variable{"LOCKSTEP_IMAGE_" + strings.ToUpper(name), reference})
		}
	}
	return list, nil
}

// registry is how programs of this machine name the registry. Every client takes localhost for one without TLS.
func (f full) registry() image.Registry {
	return image.Registry{Host: "localhost:" + strconv.Itoa(f.settings.FullRegistryPort)}
}

var _ cluster = full{}
