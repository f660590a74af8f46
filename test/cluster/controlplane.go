package main

import (
	"fmt"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
)

// controlPlane describes a server that the program of that name is.
func (p profile) controlPlane(server string, args ...string) (process.Spec, error) {
	return p.spec(server, controlPlane, append([]string{server}, args...)...)
}

// etcd writes without waiting for the disk: a test cluster that loses power is started anew.
func (p profile) etcd(port int) (process.Spec, error) {
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d", port+1)
	return p.controlPlane("etcd",
		"--data-dir="+p.path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
}

// apiServer has the arguments that both profiles share. Admission stays as Kubernetes has it by default, which
// includes PodSecurity.
func (p profile) apiServer(etcdPort, port int, args ...string) (process.Spec, error) {
	return p.controlPlane("kube-apiserver", append([]string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", etcdPort),
		fmt.Sprintf("--secure-port=%d", port),
		"--client-ca-file=pki/ca.crt",
		"--tls-cert-file=pki/kube-apiserver.crt",
		"--tls-private-key-file=pki/kube-apiserver.key",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=pki/serviceaccounts.pub",
		"--service-account-signing-key-file=pki/serviceaccounts.key",
	}, args...)...)
}

// controllerManagerArgs: there is one of each, so nobody needs electing, and nobody asks for its metrics.
func (p profile) controllerManagerArgs(kubeconfig string) []string {
	return []string{
		"--kubeconfig=" + kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--use-service-account-credentials", "--root-ca-file=pki/ca.crt",
		"--service-account-private-key-file=pki/serviceaccounts.key",
	}
}
