package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/kube"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/pki"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
)

// startLimit bounds every wait for a server. Most take a second; a machine that is busy compiling takes longer.
const startLimit = 3 * time.Minute

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
	manager, err := f.controlPlane("kube-controller-manager", f.controllerManagerArgs("kube-controller-manager.conf")...)
	if err != nil {
		return err
	}
	if err := f.ensure(ctx, manager); err != nil {
		return err
	}
	scheduler, err := f.controlPlane("kube-scheduler", "--kubeconfig=kube-scheduler.conf", "--leader-elect=false", "--secure-port=0")
	if err != nil {
		return err
	}
	return f.ensure(ctx, scheduler)
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
	proxy, err := f.spec("kube-proxy", "kube-proxy", "--kubeconfig=kube-proxy.conf", "--hostname-override="+nodeName,
		"--proxy-mode=iptables", "--cluster-cidr="+f.values().PodNetwork,
		// Changing the machine's table of connections needs more rights than a virtual machine may give.
		"--conntrack-max-per-core=0")
	if err != nil {
		return err
	}
	if err := f.ensure(ctx, proxy); err != nil {
		return err
	}
	if err := f.startKubelet(ctx, kubelet); err != nil {
		return err
	}
	ready := func(ctx context.Context) error { return client.NodeReady(ctx, nodeName) }
	return f.table.Await(ctx, startLimit, "the node", ready, "kubelet", "containerd", "kube-apiserver")
}

// startKubelet starts the kubelet, and again when it ends by itself: containerd answers before the part of it that
// the kubelet needs does, above all when it has containers of an earlier time to look after, and the kubelet asks once.
func (f full) startKubelet(ctx context.Context, kubelet process.Spec) error {
	deadline := time.Now().Add(startLimit)
	for {
		err := f.ensure(ctx, kubelet, 10248, 10250)
		if err == nil {
			err = f.table.Await(ctx, time.Until(deadline), "the kubelet", kubeletHealthy, "kubelet")
		}
		if !errors.Is(err, process.ErrDied) || f.table.PID("containerd") == 0 || time.Now().After(deadline) {
			return err
		}
		f.log.Printf("the kubelet ended by itself: starting it again")
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
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
