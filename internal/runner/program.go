package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/gobuild"
)

// ourModule is the module whose released images are known to be its programs.
const ourModule = "github.com/lockstep-cd/lockstep"

// programOf returns the import path of the program that an image holds: what ko
// would build it from, or one of our released images.
func programOf(image string) (pkg string, ok bool) {
	if pkg, ok := strings.CutPrefix(image, "ko://"); ok {
		return pkg, true
	}
	name, _, _ := strings.Cut(image, "@")
	if slash := strings.LastIndex(name, "/"); strings.Contains(name[slash+1:], ":") {
		name = name[:slash+1+strings.Index(name[slash+1:], ":")]
	}
	if i := strings.Index(name, "/lockstep-cd/lockstep/steps/"); i > 0 {
		return ourModule + strings.TrimPrefix(name[i:], "/lockstep-cd/lockstep"), true
	}
	return "", false
}

// Programs builds programs from the Go module around a folder, as ko does.
type Programs struct {
	// Module is a folder of the module.
	Module string
	// Bin is where programs are put.
	Bin string

	mu    sync.Mutex
	built map[string]bool
}

// Build builds packages by their import path, all in one call of the go
// command, which rebuilds only what changed.
func (p *Programs) Build(ctx context.Context, progress io.Writer, packages ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	missing := slices.DeleteFunc(slices.Clone(packages), func(pkg string) bool { return p.built[pkg] })
	if len(missing) == 0 {
		return nil
	}
	if err := os.MkdirAll(p.Bin, 0o755); err != nil {
		return fmt.Errorf("build programs: %w", err)
	}
	build := gobuild.Build{Dir: p.Module, Out: p.Bin + string(filepath.Separator)}
	if progress != nil {
		build.Say = func(line string) { fmt.Fprintln(progress, line) }
	}
	if err := build.Run(ctx, missing...); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fault.Usage("GoNotFound", err, "programs are built from source: install Go")
		}
		return fault.Usage("BuildFailed", err, "nothing was started")
	}
	if p.built == nil {
		p.built = map[string]bool{}
	}
	for _, pkg := range missing {
		p.built[pkg] = true
	}
	return nil
}

func (p *Programs) path(pkg string) string { return filepath.Join(p.Bin, path.Base(pkg)) }
