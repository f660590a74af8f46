package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// settings of the control plane that `lockstep local up` started.
type clusterState struct {
	Kubeconfig string `json:"kubeconfig"`
	Program    string `json:"program"` // folder of the program that runs it
}

func clusterSettings() clusterState {
	var s clusterState
	if text, err := os.ReadFile(settingsFile()); err == nil {
		_ = json.Unmarshal(text, &s) // a broken file is as none
	}
	return s
}

// startCluster starts the control plane with simulated nodes and returns its
// kubeconfig. It is compiled from its modules, by a program of the checkout.
func startCluster(ctx context.Context, progress io.Writer) (string, error) {
	dir := around(".", filepath.Join("test", "cluster", "go.mod"))
	if dir == "" {
		return "", fault.Usage("NoCheckout", fmt.Errorf("the control plane is built from a checkout of Lockstep, and this folder is not in one"),
			"run this in a checkout, name a cluster with --kubeconfig, or go without one: --no-cluster")
	}
	if _, err := clusterProgram(ctx, dir, progress, "light", "up"); err != nil {
		return "", err
	}
	out, err := clusterProgram(ctx, dir, progress, "light", "status", "--json")
	if err != nil {
		return "", err
	}
	var status struct{ Kubeconfig string }
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return "", fmt.Errorf("read the control plane's status: %w", err)
	}
	text, err := json.Marshal(clusterState{Kubeconfig: status.Kubeconfig, Program: dir})
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(localFolder(), 0o700); err != nil {
		return "", err
	}
	return status.Kubeconfig, os.WriteFile(settingsFile(), text, 0o600)
}

// stopCluster stops the control plane that startCluster started.
func stopCluster(ctx context.Context, progress io.Writer) error {
	s := clusterSettings()
	if s.Program == "" {
		return nil
	}
	if _, err := clusterProgram(ctx, s.Program, progress, "light", "down"); err != nil {
		return err
	}
	return os.Remove(settingsFile())
}

// around is the folder of marker in the nearest folder above path that has it.
func around(path, marker string) string {
	dir, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, marker)); err == nil {
			return filepath.Dir(filepath.Join(dir, marker))
		}
		if filepath.Dir(dir) == dir {
			return ""
		}
		dir = filepath.Dir(dir)
	}
}

// clusterProgram runs test/cluster and returns what it prints; its progress goes on.
func clusterProgram(ctx context.Context, dir string, progress io.Writer, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", "."}, args...)...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, progress
	if err := cmd.Run(); err != nil {
		return "", fault.Retryable("ClusterNotUp", fmt.Errorf("%v in %s: %w", cmd.Args, dir, err), "what it said stands above")
	}
	return out.String(), nil
}
