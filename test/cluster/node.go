package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/kube"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/pki"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
)

// startLimit bounds every wait for a server. Most take a second; a machine that is busy compiling takes longer.
const startLimit = 3 * time.Minute

func (f full) socket() string { return f.path("containerd", "containerd.sock") }

// startRegistry starts the registry and fills it with the base images.
func (f full) startRegistry(ctx context.Context) error {
	if err := f.renderTo("registry.yaml", f.path("registry.yaml")); err != nil {
		return err
	}
	registry := process.Spec{
		Name: "registry", Path: "/usr/bin/docker-registry", Args: []string{"serve", f.path("registry.yaml")},
		Dir: f.dir, Env: serverEnvironment(), Files: []string{f.path("registry.yaml")},
	}
	if err := f.ensure(ctx, registry, f.settings.FullRegistryPort); err != nil {
		return err
	}
	if err := f.table.Await(ctx, startLimit, "the registry", f.registry().Ready, "registry"); err != nil {
		return err
	}
	_, err := f.baseImages(ctx)
	return err
}

// startKubernetes starts everything from etcd to a node that is ready, with DNS.
func (f full) startKubernetes(ctx context.Context) error {
	client, err := f.credentials()
	if err != nil {
		return err
	}
	if err := f.prepareNetwork(ctx); err != nil {
		return err
	}
	for _, start := range []func(context.Context, *kube.Client) error{
		f.startControlPlane, f.startContainerd, f.startNode, f.startDNS,
	} {
		if err := start(ctx, client); err != nil {
			return err
		}
	}
	return nil
}

// credentials issues a certificate for everybody, and writes the kubeconfigs of those who ask the API server.
func (f full) credentials() (*kube.Client, error) {
	v := f.values()
	node, loopback := net.ParseIP(v.NodeIP), net.IPv4(127, 0, 0, 1)
	clients := []pki.Identity{
		{File: "admin", Name: "admin", Groups: []string{"system:masters"}},
		{File: "kube-controller-manager", Name: "system:kube-controller-manager"},
		{File: "kube-scheduler", Name: "system:kube-scheduler"},
		{File: "kube-proxy", Name: "system:kube-proxy"},
		{File: "coredns", Name: "coredns"},
		{File: "kubelet", Name: "system:node:" + nodeName, Groups: []string{"system:nodes"}, DNS: []string{nodeName}, IPs: []net.IP{loopback, node}},
	}
	authority, err := f.identities(append(clients,
		pki.Identity{
			File: "kube-apiserver", Name: "kube-apiserver",
			DNS: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"},
			IPs: []net.IP{loopback, net.ParseIP(firstServiceIP), node},
		},
		pki.Identity{File: "apiserver-to-kubelet", Name: "apiserver-to-kubelet", Groups: []string{"system:masters"}},
	))
	if err != nil {
		return nil, err
	}
	var access kube.Access
	for _, id := range slices.Backward(clients) { // admin comes last and remains in access
		access = kube.Access{
			Server: "https://127.0.0.1:" + strconv.Itoa(f.settings.FullAPIPort),
			CA:     authority.CAPath(), Cert: authority.CertPath(id.File), Key: authority.KeyPath(id.File),
		}
		if err := access.WriteConfig(f.path(id.File+".conf"), "lockstep-full"); err != nil {
			return nil, err
		}
	}
	return kube.NewClient(access)
}

func (f full) startControlPlane(ctx context.Context, client *kube.Client) error {
	etcdPort, apiPort := f.settings.FullEtcdPort, f.settings.FullAPIPort
	etcd, err := f.etcd(etcdPort)
	if err != nil {
		return err
	}
	if err := f.ensure(ctx, etcd, etcdPort, etcdPort+1); err != nil {
		return err
	}
	server, err := f.apiServer(etcdPort, apiPort,
		"--advertise-address="+f.values().NodeIP, "--authorization-mode=Node,RBAC", "--allow-privileged",
		"--service-cluster-ip-range="+serviceNetwork, "--kubelet-preferred-address-types=InternalIP",
		"--kubelet-client-certificate=pki/apiserver-to-kubelet.crt", "--kubelet-client-key=pki/apiserver-to-kubelet.key")
	if err != nil {
		return err
	}
	if err := f.ensure(ctx, server, apiPort); err != nil {
		return err
	}
	if err := f.table.Await(ctx, startLimit, "the API server", client.Ready, "etcd", "kube-apiserver"); err != nil {
		return err
	}
	if err := f.ensureOurs(ctx, "kube-controller-manager", f.controllerManagerArgs("kube-controller-manager.conf")...); err != nil {
		return err
	}
	return f.ensureOurs(ctx, "kube-scheduler", "--kubeconfig=kube-scheduler.conf", "--leader-elect=false", "--secure-port=0")
}

func (f full) ensureOurs(ctx context.Context, name string, args ...string) error {
	spec, err := f.spec(name, name, args...)
	if err != nil {
		return err
	}
	return f.ensure(ctx, spec)
}

// startContainerd starts the container runtime. When neither it nor the kubelet ran, containers that still run are
// leftovers without a network worth keeping: they end here, and the kubelet makes their pods anew.
func (f full) startContainerd(ctx context.Context, _ *kube.Client) error {
	afresh := f.table.PID("containerd") == 0 && f.table.PID("kubelet") == 0
	host := fmt.Sprintf("%s:%d", f.values().NodeIP, f.settings.FullRegistryPort)
	for name, path := range map[string]string{
		"containerd.toml": f.path("containerd.toml"),
		"hosts.toml":      f.path("certs.d", host, "hosts.toml"),
		"cni.conflist":    f.path("cni", "10-lockstep.conflist"),
	} {
		if err := f.renderTo(name, path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(f.socket()), 0o755); err != nil {
		return err
	}
	if err := f.ensure(ctx, process.Spec{
		Name: "containerd", Path: "/usr/bin/containerd", Args: []string{"-c", f.path("containerd.toml")},
		Dir: f.dir, Env: serverEnvironment(), Files: []string{f.path("containerd.toml")},
	}); err != nil {
		return err
	}
	answers := func(ctx context.Context) error { return f.ctr(ctx, "version").Run() }
	if err := f.table.Await(ctx, startLimit, "containerd", answers, "containerd"); err != nil {
		return err
	}
	if !afresh {
		return nil
	}
	return errors.Join(f.killContainers(ctx), unplugPods(ctx))
}

func (f full) ctr(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/ctr", append([]string{"--address", f.socket(), "--namespace", cgroupNamespace}, args...)...)
	cmd.Env = serverEnvironment()
	return cmd
}

// killContainers ends the processes of all containers. What they are made of stays: the kubelet finds it when it
// starts again, and tidies up.
func (f full) killContainers(ctx context.Context) error {
	out, err := f.ctr(ctx, "tasks", "list", "--quiet").Output()
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	ids := strings.Fields(string(out))
	for _, id := range ids {
		// One that ended in the meantime cannot be removed again; what is left after the last one is what counts.
		_ = f.ctr(ctx, "tasks", "delete", "--force", id).Run()
	}
	if len(ids) > 0 {
		f.log.Printf("ended %d containers", len(ids))
	}
	return nil
}

func (f full) startNode(ctx context.Context, client *kube.Client) error {
	if err := f.renderTo("kubelet.yaml", f.path("kubelet.yaml")); err != nil {
		return err
	}
	kubelet, err := f.spec("kubelet", "kubelet", "--kubeconfig=kubelet.conf", "--config=kubelet.yaml",
		"--hostname-override="+nodeName, "--node-ip="+f.values().NodeIP, "--root-dir="+f.path("kubelet"))
	if err != nil {
		return err
	}
	kubelet.Files = []string{f.path("kubelet.yaml")}
	if err := f.ensure(ctx, kubelet, 10248, 10250); err != nil {
		return err
	}
	if err := f.ensureOurs(ctx, "kube-proxy", "--kubeconfig=kube-proxy.conf", "--hostname-override="+nodeName,
		"--proxy-mode=iptables", "--cluster-cidr="+f.values().PodNetwork,
		// Changing the machine's table of connections needs more rights than a virtual machine may give.
		"--conntrack-max-per-core=0"); err != nil {
		return err
	}
	if err := f.table.Await(ctx, startLimit, "the kubelet", kubeletHealthy, "kubelet"); err != nil {
		return err
	}
	ready := func(ctx context.Context) error { return client.NodeReady(ctx, nodeName) }
	return f.table.Await(ctx, startLimit, "the node", ready, "kubelet", "containerd", "kube-apiserver")
}

// kubeletHealthy asks the kubelet itself: after a restart the node's own word may be an hour old.
func kubeletHealthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:10248/healthz", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

func (f full) startDNS(ctx context.Context, _ *kube.Client) error {
	manifest, err := f.render("dns.yaml")
	if err != nil {
		return err
	}
	if err := f.apply(ctx, "dns", manifest); err != nil {
		return err
	}
	if err := f.renderTo("Corefile", f.path("Corefile")); err != nil {
		return err
	}
	coredns, err := f.spec("coredns", "coredns", "-conf", f.path("Corefile"))
	if err != nil {
		return err
	}
	coredns.Files = []string{f.path("Corefile")}
	if err := f.ensure(ctx, coredns); err != nil {
		return err
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(f.values().NodeIP, "53"))
	}}
	answers := func(ctx context.Context) error {
		_, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
		return err
	}
	return f.table.Await(ctx, startLimit, "the cluster's DNS", answers, "coredns")
}

// apply makes the cluster as the manifest says. Conflicts are resolved in the manifest's favour.
func (f full) apply(ctx context.Context, name string, manifest []byte) error {
	cmd, err := f.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "--filename=-")
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(string(manifest))
	return f.logged(ctx, "apply-"+name, cmd)
}

func (f full) kubectl(ctx context.Context, args ...string) (*exec.Cmd, error) {
	path, err := f.programs.path("kubectl")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, append([]string{"--kubeconfig=" + f.kubeconfig()}, args...)...)
	cmd.Env = serverEnvironment()
	return cmd, nil
}

// unmountBelow unmounts what pods left mounted below a folder, so that removing the folder removes nothing else.
func unmountBelow(dir string) error {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var points []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			points = append(points, fields[1])
		}
	}
	for _, point := range slices.Backward(points) {
		if err := unmount(point); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}
