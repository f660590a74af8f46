package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/kube"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
)

func (f full) socket() string { return f.path("containerd", "containerd.sock") }

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
	cmd := exec.CommandContext(ctx, "/usr/bin/ctr", append([]string{"--address", f.socket(), "--namespace", containerSpace}, args...)...)
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
