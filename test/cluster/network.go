package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// prepareNetwork makes the bridge that pods hang on. Its address is the node's and the API server's, so that pods
// reach whatever listens on this machine. Everything may be there already.
func (f full) prepareNetwork(ctx context.Context) error {
	address := f.values().NodeIP
	owner, err := interfaceOf(ctx, address)
	if err != nil {
		return err
	}
	if owner != "" && owner != bridge {
		return fmt.Errorf("the address %s belongs to the interface %s: choose another with LOCKSTEP_FULL_NODE_IP", address, owner)
	}
	if _, err := os.Stat("/sys/class/net/" + bridge); errors.Is(err, os.ErrNotExist) {
		if err := command(ctx, "ip", "link", "add", bridge, "type", "bridge"); err != nil {
			return err
		}
	}
	return errors.Join(
		command(ctx, "ip", "address", "replace", address+"/16", "dev", bridge),
		command(ctx, "ip", "link", "set", bridge, "up"),
		forwardPackets(ctx),
	)
}

// forwardPackets lets packets of pods through this machine, also where another program made refusing the default.
func forwardPackets(ctx context.Context) error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	// Where the bridge module filters at all, packets between pods must pass the Services' rules.
	err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0o644)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, rule := range forwardRules() {
		if command(ctx, "iptables", append([]string{"-w", "-C"}, rule...)...) == nil {
			continue
		}
		if err := command(ctx, "iptables", append([]string{"-w", "-I"}, rule...)...); err != nil {
			return err
		}
	}
	return nil
}

// forwardRules are put in front of what is there, one after the other. The last one ends what still has a Service's
// address: kube-proxy does not know it yet, and outside of this machine anything might answer.
func forwardRules() [][]string {
	return [][]string{
		{"FORWARD", "-i", bridge, "-j", "ACCEPT"}, {"FORWARD", "-o", bridge, "-j", "ACCEPT"},
		{"FORWARD", "-d", serviceNetwork, "-j", "REJECT"},
	}
}

// unplugPods removes the bridge's ends of pods that are gone. Left in place, the network namespace at the other end
// would still answer for an address that a new pod gets.
func unplugPods(ctx context.Context) error {
	ports, err := os.ReadDir("/sys/class/net/" + bridge + "/brif")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, port := range ports {
		if err := command(ctx, "ip", "link", "delete", port.Name()); err != nil {
			return err
		}
	}
	return nil
}

// removeNetwork takes away what prepareNetwork and the cluster left in this machine's network.
func (f full) removeNetwork(ctx context.Context) error {
	if path, err := f.programs.path("kube-proxy"); err == nil {
		// It says so when there was nothing to clean up.
		_ = exec.CommandContext(ctx, path, "--cleanup").Run()
	}
	for _, rule := range forwardRules() {
		_ = command(ctx, "iptables", append([]string{"-w", "-D"}, rule...)...)
	}
	if err := unplugPods(ctx); err != nil {
		return err
	}
	if _, err := os.Stat("/sys/class/net/" + bridge); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return command(ctx, "ip", "link", "delete", bridge)
}

// interfaceOf returns the name of the interface that has the address, or "".
func interfaceOf(ctx context.Context, address string) (string, error) {
	out, err := exec.CommandContext(ctx, "ip", "-json", "address", "show", "to", address+"/32").Output()
	if err != nil {
		return "", fmt.Errorf("list this machine's addresses: %w", err)
	}
	var interfaces []struct{ Ifname string }
	if err := json.Unmarshal(out, &interfaces); err != nil {
		return "", fmt.Errorf("list this machine's addresses: %w", err)
	}
	for _, i := range interfaces {
		if i.Ifname != "" {
			return i.Ifname, nil
		}
	}
	return "", nil
}

// command runs a program of the system and puts what it said into the error.
func command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = serverEnvironment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
