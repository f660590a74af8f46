package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
)

// packages maps each Debian package that full needs to a file by which one sees that it is there. What runs
// containers is taken from Debian because it is not worth building; Gitea's database driver needs the compiler.
func packages() [][2]string {
	return [][2]string{
		{"ca-certificates", "/etc/ssl/certs/ca-certificates.crt"},
		{"containerd", "/usr/bin/containerd"},
		{"runc", "/usr/sbin/runc"},
		{"containernetworking-plugins", "/usr/lib/cni/bridge"},
		{"docker-registry", "/usr/bin/docker-registry"},
		{"iproute2", "/sbin/ip"},
		{"iptables", "/usr/sbin/iptables"},
		{"conntrack", "/usr/sbin/conntrack"},
		{"socat", "/usr/bin/socat"},
		{"busybox-static", "/bin/busybox"},
		{"git", "/usr/bin/git"},
		{"gcc", "/usr/bin/gcc"},
		{"libc6-dev", "/usr/include/stdlib.h"},
	}
}

// installPackages installs what is missing. Debian starts some servers when it installs them; the registry's would
// take our port, so one that we brought is stopped again.
func (f full) installPackages(ctx context.Context) error {
	var missing []string
	for _, p := range packages() {
		if _, err := os.Stat(p[1]); errors.Is(err, os.ErrNotExist) {
			missing = append(missing, p[0])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%v are missing, and there is no apt-get to install them: full needs Debian or one of its kind", missing)
	}
	return f.log.Do(fmt.Sprintf("installing %v", missing), func() error {
		if err := f.logged(ctx, "apt-update", aptGet(ctx, "update")); err != nil {
			return err
		}
		if err := f.logged(ctx, "apt-install", aptGet(ctx, append([]string{"install", "--no-install-recommends"}, missing...)...)); err != nil {
			return err
		}
		for _, name := range missing {
			if _, err := exec.LookPath("systemctl"); err == nil && name == "docker-registry" {
				// An error means that systemd does not run here, and so the registry neither.
				_ = exec.CommandContext(ctx, "systemctl", "disable", "--now", name).Run()
			}
		}
		return nil
	})
}

func aptGet(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-y"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	return cmd
}

// logged runs a command with its output in a log, the end of which is part of the error.
func (p profile) logged(_ context.Context, name string, cmd *exec.Cmd) error {
	path := p.table.LogPath(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, process.Tail(path))
	}
	return nil
}
