// Package program builds programs from Go modules into a cache. What is in the cache is decided by what went in:
// the module's pinned versions, its own Go files, the flags and the Go release. So a changed pin builds again and
// nothing else does.
package program

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
)

// Module is a folder with a go.mod from which programs are built.
type Module struct {
	Dir   string
	Flags []string // of go build
	Cgo   bool
}

// Program is one package of a module.
type Program struct {
	Name    string
	Module  Module
	Package string
}

// Store is the folder that built programs are kept in.
type Store struct{ Dir string }

// Path returns where the program is, or will be once it is built.
func (s Store) Path(p Program) (string, error) {
	dir, err := s.ModuleDir(p.Module)
	return filepath.Join(dir, p.Name), err
}

// ModuleDir returns the folder of all programs of a module, under their plain names.
func (s Store) ModuleDir(m Module) (string, error) {
	key, err := m.Key()
	if err != nil {
		return "", err
	}
	return filepath.Join(s.Dir, filepath.Base(m.Dir)+"-"+key), nil
}

// Key is a digest of everything that decides what is built.
func (m Module) Key() (string, error) {
	files, err := filepath.Glob(filepath.Join(m.Dir, "*.go"))
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %q %t\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, m.Flags, m.Cgo)
	for _, file := range append(files, filepath.Join(m.Dir, "go.mod"), filepath.Join(m.Dir, "go.sum")) {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read module %s: %w", m.Dir, err)
		}
		fmt.Fprintln(h, filepath.Base(file))
		_, err = io.Copy(h, f)
		_ = f.Close()
		if err != nil {
			return "", fmt.Errorf("read module %s: %w", m.Dir, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// Missing returns those of programs that are not built yet.
func (s Store) Missing(programs []Program) ([]Program, error) {
	var missing []Program
	for _, p := range programs {
		path, err := s.Path(p)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

// Build compiles one program. The file appears under its name only when it is whole. What go says goes to a log
// whose end is part of the error.
func (s Store) Build(ctx context.Context, p Program) error {
	path, err := s.Path(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	log, err := os.Create(path + ".build.log")
	if err != nil {
		return err
	}
	defer log.Close()
	// go refuses to write over the half of a program that an interrupted build left.
	if err := os.RemoveAll(path + ".new"); err != nil {
		return err
	}
	args := append([]string{"build"}, p.Module.Flags...)
	cmd := process.Command(ctx, "go", append(args, "-o", path+".new", p.Package)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.Module.Dir, log, log
	// For this machine, whatever else the caller is compiling for.
	cmd.Env = append(p.Module.Environment(), "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s (in %s: %s): %w\n%s", p.Name, cmd.Dir, strings.Join(cmd.Args, " "), err, process.Tail(log.Name()))
	}
	return os.Rename(path+".new", path)
}

// Environment returns the environment for go in this module: ours, but without a workspace file around the module,
// and with or without cgo as the module needs it.
func (m Module) Environment() []string {
	cgo := "0"
	if m.Cgo {
		cgo = "1"
	}
	return append(os.Environ(), "GOWORK=off", "CGO_ENABLED="+cgo)
}
