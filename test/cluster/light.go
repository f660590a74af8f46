package main

import (
	"context"
	"embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/kube"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/pki"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/progress"
)

// light is a real control plane whose nodes are simulated by KWOK: objects are admitted, scheduled and become
// ready, but no container is executed. It listens on the loopback address only.
type light struct{ profile }

const simulatedNode = "simulated-0"

func newLight(s settings, log *progress.Log) light { return light{newProfile("light", s, log)} }

// lightServers in the order of their start.
func lightServers() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"}
}

func (l light) Build(ctx context.Context) error { return l.programs.build(ctx, controlPlane) }

func (l light) Up(ctx context.Context, part string) error {
	if part != "" {
		return fmt.Errorf("%w: light has no parts", errUsage)
	}
	if err := l.Build(ctx); err != nil {
		return err
	}
	return l.alone(ctx, func() error { return l.start(ctx) })
}

func (l light) Down(ctx context.Context) error {
	return l.alone(ctx, func() error { return l.stop(ctx, reversed(lightServers())) })
}

func (l light) Clean(ctx context.Context) error {
	return l.alone(ctx, func() error {
		if err := l.stop(ctx, reversed(lightServers())); err != nil {
			return err
		}
		return os.RemoveAll(l.dir)
	})
}

func (l light) Status() (status, error) {
	list, running := servers(l.table, lightServers())
	return status{
		Profile: "light", Running: running, Simulated: true, Data: l.dir, Kubeconfig: l.kubeconfig(), Servers: list,
		Environment: []variable{
			{"KUBECONFIG", l.kubeconfig()},
			{"LOCKSTEP_CLUSTER", "light"},
		},
	}, nil
}

func (l light) start(ctx context.Context) error {
	access, err := l.credentials()
	if err != nil {
		return err
	}
	client, err := kube.NewClient(access)
	if err != nil {
		return err
	}
	if err := l.startControlPlane(ctx, client); err != nil {
		return err
	}
	if err := l.startNodes(ctx, client); err != nil {
		return err
	}
	l.log.Printf("ready: export KUBECONFIG=%s (simulated nodes: no container is executed)", l.kubeconfig())
	return nil
}

func (l light) credentials() (kube.Access, error) {
	authority, err := l.identities([]pki.Identity{
		{File: "kube-apiserver", Name: "kube-apiserver", DNS: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}},
		{File: "admin", Name: "admin", Groups: []string{"system:masters"}},
	})
	if err != nil {
		return kube.Access{}, err
	}
	access := kube.Access{
		Server: fmt.Sprintf("https://127.0.0.1:%d", l.settings.LightAPIPort),
		CA:     authority.CAPath(), Cert: authority.CertPath("admin"), Key: authority.KeyPath("admin"),
	}
	return access, access.WriteConfig(l.kubeconfig(), "lockstep-light")
}

func (l light) startControlPlane(ctx context.Context, client *kube.Client) error {
	etcdPort, apiPort := l.settings.LightEtcdPort, l.settings.LightAPIPort
	etcd, err := l.etcd(etcdPort)
	if err != nil {
		return err
	}
	if err := l.ensure(ctx, etcd, etcdPort, etcdPort+1); err != nil {
		return err
	}
	server, err := l.apiServer(etcdPort, apiPort,
		"--bind-address=127.0.0.1", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.97.0.0/16")
	if err != nil {
		return err
	}
	if err := l.ensure(ctx, server, apiPort); err != nil {
		return err
	}
	return l.table.Await(ctx, time.Minute, "the API server", client.Ready, "etcd", "kube-apiserver")
}

func (l light) startNodes(ctx context.Context, client *kube.Client) error {
	stages, err := l.stages(ctx)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		name  string
		args  []string
		files []string
	}{
		// KWOK sends no heartbeats as we run it: after the usual grace the node, and its pods with it, would be taken
		// for lost every minute, and nothing makes such pods ready again.
		{"kube-controller-manager", append(l.controllerManagerArgs("admin.conf"), "--node-monitor-grace-period=24h"), nil},
		{"kube-scheduler", []string{"--kubeconfig=admin.conf", "--leader-elect=false", "--secure-port=0"}, nil},
		{"kwok", []string{"--kubeconfig=admin.conf", "--manage-all-nodes=true", "--config=" + strings.Join(stages, ",")}, stages},
	} {
		spec, err := l.controlPlane(s.name, s.args...)
		if err != nil {
			return err
		}
		spec.Files = s.files
		if err := l.ensure(ctx, spec); err != nil {
			return err
		}
	}
	if err := client.Apply(ctx, "/api/v1/nodes/"+simulatedNode, simulated()); err != nil {
		return fmt.Errorf("create the simulated node: %w", err)
	}
	ready := func(ctx context.Context) error { return client.NodeReady(ctx, simulatedNode) }
	return l.table.Await(ctx, time.Minute, "the simulated node", ready, lightServers()...)
}

// ownStages are what KWOK does not have.
//
//go:embed stages
var ownStages embed.FS

// stages returns the files that say what KWOK makes of pods: its own fast stages, which it forgets when it is given any,
// and ours of a pod that crashes.
func (l light) stages(ctx context.Context) ([]string, error) {
	source, err := l.programs.source(ctx, "kubernetes", "sigs.k8s.io/kwok")
	if err != nil {
		return nil, err
	}
	var files []string
	for _, name := range []string{"pod-ready.yaml", "pod-complete.yaml", "pod-delete.yaml"} {
		text, err := os.ReadFile(filepath.Join(source, "kustomize", "stage", "pod", "fast", name))
		if err != nil {
			return nil, fmt.Errorf("KWOK's own stages: %w", err)
		}
		if err := writeFile(l.path("stages", name), text, 0o644); err != nil {
			return nil, err
		}
		files = append(files, l.path("stages", name))
	}
	crash, err := ownStages.ReadFile("stages/crash-loop.yaml")
	if err != nil {
		return nil, err
	}
	files = append(files, l.path("stages", "crash-loop.yaml"))
	return files, writeFile(l.path("stages", "crash-loop.yaml"), crash, 0o644)
}

// simulated is the node that KWOK keeps alive; it is as large as any test could wish.
func simulated() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{
			"name":        simulatedNode,
			"annotations": map[string]string{"kwok.x-k8s.io/node": "fake"},
			"labels":      map[string]string{"kubernetes.io/hostname": simulatedNode, "kubernetes.io/os": "linux"},
		},
		"status": map[string]any{
			"allocatable": map[string]string{"cpu": "32", "memory": "256Gi", "pods": "1000"},
			"capacity":    map[string]string{"cpu": "32", "memory": "256Gi", "pods": "1000"},
		},
	}
}

var _ cluster = light{}

func reversed(names []string) []string {
	out := make([]string, 0, len(names))
	for i := len(names) - 1; i >= 0; i-- {
		out = append(out, names[i])
	}
	return out
}
