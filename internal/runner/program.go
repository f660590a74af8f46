package runner

import (
	"bytes"
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
	if progress != nil && !p.present(missing) {
		fmt.Fprintf(progress, "building %d programs; the first time takes minutes, later ones a second\n", len(missing))
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-o", p.Bin + string(filepath.Separator)}, missing...)...)
	cmd.Dir, cmd.Env = p.Module, append(os.Environ(), "CGO_ENABLED=0")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fault.Usage("GoNotFound", fmt.Errorf("build %s: %w", strings.Join(missing, " "), err), "programs are built from source: install Go")
		}
		return fault.Usage("BuildFailed", fmt.Errorf("build %s in %s: %w\n%s", strings.Join(missing, " "), p.Module, err, bytes.TrimSpace(said.Bytes())), "nothing was started")
	}
	if p.built == nil {
		p.built = map[string]bool{}
	}
	for _, pkg := range missing {
		p.built[pkg] = true
	}
	return nil
}

func (p *Programs) present(packages []string) bool {
	for _, pkg := range packages {
		if _, err := os.Stat(p.path(pkg)); err != nil {
			return false
		}
	}
	return true
}

func (p *Programs) path(pkg string) string { return filepath.Join(p.Bin, path.Base(pkg)) }
