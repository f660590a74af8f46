package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// machine is what the numbers depend on. It has no name and no path.
type machine struct {
	Processor, System, Memory string
	Processors                int
	Versions                  []string
	LoadBefore, LoadAfter     string
}

func describe(ctx context.Context, root string) (machine, error) {
	m := machine{Processors: runtime.NumCPU(), LoadBefore: load()}
	m.Processor = field("/proc/cpuinfo", "model name")
	m.Memory = memory(field("/proc/meminfo", "MemTotal"))
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.System = field("/etc/os-release", "PRETTY_NAME") + ", Linux " + strings.TrimSpace(string(kernel))
	commit, err := git(ctx, root, "describe", "--always", "--abbrev=12", "--dirty=-changed")
	if err != nil {
		return m, err
	}
	program, err := git(ctx, root, "version")
	if err != nil {
		return m, err
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "github.com/go-git/go-git/v5").Output()
	if err != nil {
		return m, err
	}
	m.Versions = []string{"Lockstep " + commit, program, "go-git " + strings.TrimSpace(string(out)), runtime.Version()}
	return m, nil
}

// field finds a value in the files in which Linux describes itself.
func field(file, name string) string {
	in, err := os.Open(file)
	if err != nil {
		return "unknown"
	}
	defer in.Close()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		key, value, found := strings.Cut(lines.Text(), ":")
		if !found {
			key, value, _ = strings.Cut(lines.Text(), "=")
		}
		if strings.TrimSpace(key) == name {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return "unknown"
}

// memory turns "24684092 kB" into what people say.
func memory(text string) string {
	var kib float64
	if _, err := fmt.Sscanf(text, "%f kB", &kib); err != nil {
		return text
	}
	return fmt.Sprintf("%.0f GiB", kib/(1<<20))
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// asInImages are the flags with which ko puts the programs into their images.
func asInImages(root string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(root, "ko.yaml"))
	if err != nil {
		return nil, err
	}
	var ko struct {
		Flags   []string `json:"defaultFlags"`
		Ldflags []string `json:"defaultLdflags"`
	}
	if err := yaml.Unmarshal(text, &ko); err != nil {
		return nil, fmt.Errorf("ko.yaml: %w", err)
	}
	return append(ko.Flags, "-ldflags", strings.Join(ko.Ldflags, " ")), nil
}

// build compiles programs into the folder to, as they are in images.
func build(ctx context.Context, root, to string, packages ...string) error {
	flags, err := asInImages(root)
	if err != nil {
		return err
	}
	args := slices.Concat([]string{"build", "-o", to + string(os.PathSeparator)}, flags, packages)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", strings.Join(packages, " "), err, out)
	}
	return nil
}
