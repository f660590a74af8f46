package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/lockfile"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/program"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/progress"
)

// kubernetesVersion is what the programs say they are. A plain go build leaves v0.0.0-master there, and clients that
// ask for a minimum version believe it. It must be the version in modules/kubernetes/go.mod.
const kubernetesVersion = "v1.34.4"

// controlPlane is the program that is every server of the control plane and KWOK: its first argument says which.
const controlPlane = "controlplane"

// programs knows what is built from which module, and where it ends up.
type programs struct {
	store   program.Store
	modules string
	lock    string
	log     *progress.Log
}

func newPrograms(s settings, log *progress.Log) programs {
	dir := filepath.Join(s.Cache, "programs")
	return programs{program.Store{Dir: dir}, s.Modules, filepath.Join(s.Cache, "build.lock"), log}
}

func (p programs) module(name string) program.Module {
	m := program.Module{Dir: filepath.Join(p.modules, name)}
	switch name {
	case "kubernetes":
		m.Flags = []string{"-ldflags", "-s -X k8s.io/component-base/version.gitVersion=" + kubernetesVersion}
	case "gitea":
		// Gitea's own database driver is C.
		m.Flags, m.Cgo = []string{"-tags", "sqlite sqlite_unlock_notify"}, true
	}
	return m
}

func (p programs) list(names ...string) []program.Program {
	list := make([]program.Program, len(names))
	for i, name := range names {
		list[i] = p.program(name)
	}
	return list
}

// program says from which package of which module a program is built.
func (p programs) program(name string) program.Program {
	switch name {
	case controlPlane:
		return program.Program{Name: name, Module: p.module("kubernetes"), Package: "."}
	case "coredns", "pause":
		return program.Program{Name: name, Module: p.module(name), Package: "."}
	case "gitea":
		return program.Program{Name: name, Module: p.module("gitea"), Package: "code.gitea.io/gitea"}
	case "ko":
		return program.Program{Name: name, Module: p.module("tools"), Package: "github.com/google/ko"}
	case "crane":
		return program.Program{Name: name, Module: p.module("tools"), Package: "github.com/google/go-containerregistry/cmd/crane"}
	default:
		return program.Program{Name: name, Module: p.module("kubernetes"), Package: "k8s.io/kubernetes/cmd/" + name}
	}
}

// path returns where a program is; it must have been built.
func (p programs) path(name string) (string, error) { return p.store.Path(p.program(name)) }

// dir returns the folder of the programs built from a module.
func (p programs) dir(module string) (string, error) { return p.store.ModuleDir(p.module(module)) }

// source returns the folder with the source of a module that the named one requires.
func (p programs) source(ctx context.Context, name, path string) (string, error) {
	m := p.module(name)
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", path)
	cmd.Dir, cmd.Env = m.Dir, m.Environment()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w: %s", path, err, out)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return "", fmt.Errorf("download %s: %w", path, err)
	}
	return found.Dir, nil
}

// usual is how long a program takes on two quiet cores with nothing compiled but those before it. A busy machine takes up
// to five times that.
var usual = map[string]time.Duration{
	controlPlane: 220 * time.Second, "kubelet": 30 * time.Second, "kube-proxy": 10 * time.Second, "coredns": time.Minute, "gitea": 2 * time.Minute,
	"kubectl": 10 * time.Second, "ko": 40 * time.Second, "crane": 10 * time.Second,
}

// build compiles those that are missing, one after the other: the compiler keeps all processors busy by itself. Two
// callers that need the same program wait for each other.
func (p programs) build(ctx context.Context, names ...string) error {
	wanted := p.list(names...)
	missing, err := p.store.Missing(wanted)
	if err != nil || len(missing) == 0 {
		return err
	}
	unlock, err := lockfile.Lock(ctx, p.lock, func() { p.log.Printf("waiting for another build to finish …") })
	if err != nil {
		return err
	}
	defer unlock()
	if missing, err = p.store.Missing(wanted); err != nil {
		return err
	}
	for i, m := range missing {
		what := fmt.Sprintf("building %s (%d of %d%s)", m.Name, i+1, len(missing), usually(m.Name))
		if err := p.log.Do(what, func() error { return p.store.Build(ctx, m) }); err != nil {
			return err
		}
	}
	return nil
}

func usually(name string) string {
	if took, known := usual[name]; known {
		return ", usually " + took.String()
	}
	return ""
}
