package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// templates are the configuration files of the full profile's servers.
//
//go:embed config
var templates embed.FS

// values is what the templates know.
type values struct {
	Dir          string
	Containerd   string // its socket
	PauseImage   string
	NodeIP       string
	Bridge       string
	PodNetwork   string
	FirstPodIP   string
	DNSIP        string
	Forward      bool // whether this machine has a name server for names outside of the cluster
	RegistryPort int
	GiteaPort    int
	GiteaDir     string
	GiteaStatic  string
	GiteaUser    string
}

const (
	bridge         = "cni0"
	serviceNetwork = "10.96.0.0/16"
	firstServiceIP = "10.96.0.1" // the API server's, by Kubernetes' rule
	dnsIP          = "10.96.0.10"
	nodeName       = "node"
	giteaUser      = "gitea" // on this machine
	giteaAdmin     = "lockstep"
	giteaDir       = "/var/lib/lockstep-gitea"
	pipelineSpace  = "tekton-pipelines"
	containerSpace = "k8s.io" // containerd's name for what the kubelet starts
)

func (f full) values() values {
	ip := f.settings.FullNodeIP
	network := netip.PrefixFrom(ip, 16).Masked()
	bytes := network.Addr().As4()
	bytes[2], bytes[3] = 1, 1 // the addresses before are the node's
	return values{
		Dir: f.dir, Containerd: f.socket(), PauseImage: f.images()["pause"],
		NodeIP: ip.String(), Bridge: bridge, PodNetwork: network.String(), FirstPodIP: netip.AddrFrom4(bytes).String(),
		DNSIP: dnsIP, Forward: hasNameServer(),
		RegistryPort: f.settings.FullRegistryPort,
		GiteaPort:    f.settings.FullGiteaPort, GiteaDir: giteaDir, GiteaStatic: filepath.Join(giteaDir, "static"), GiteaUser: giteaUser,
	}
}

func hasNameServer() bool {
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "nameserver" && net.ParseIP(f[1]) != nil {
			return true
		}
	}
	return false
}

// render fills in the template of this name.
func (f full) render(name string) ([]byte, error) {
	t, err := template.ParseFS(templates, "config/"+name)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Option("missingkey=error").Execute(&text, f.values()); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return text.Bytes(), nil
}

// renderTo writes the filled-in template to a file.
func (f full) renderTo(name, path string) error {
	text, err := f.render(name)
	if err != nil {
		return err
	}
	return writeFile(path, text, 0o644)
}

// writeFile writes a file whole, in a folder that it makes. One that has this content already stays as it is.
func writeFile(path string, content []byte, mode os.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := path + ".new"
	return errors.Join(os.WriteFile(temporary, content, mode), os.Rename(temporary, path))
}
