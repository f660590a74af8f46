package main

import (
	"bytes"
	"context"
	"os/exec"
)

// apply makes the cluster as the manifest says. Conflicts are resolved in the manifest's favour.
func (f full) apply(ctx context.Context, name string, manifest []byte) error {
	cmd, err := f.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "--filename=-")
	if err != nil {
		return err
	}
	cmd.Stdin = bytes.NewReader(manifest)
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
