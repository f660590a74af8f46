package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/image"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
)

// goCache is where the Go image keeps the compiled standard library.
const goCache = "/usr/local/go-cache"

// goWrapper stands before go in the image's PATH. A cache that go cannot write to makes it fail in places, so what is
// compiled already is copied to where the cache of this container is, which takes a moment instead of a minute.
const goWrapper = `#!/bin/sh
set -e
cache=${GOCACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/go-build}
if [ ! -d "$cache" ]; then
	mkdir -p "$(dirname "$cache")"
	cp -r ` + goCache + ` "$cache.$$"
	mv -T "$cache.$$" "$cache" 2>/dev/null || rm -rf "$cache.$$"
fi
exec %s/bin/go "$@"
`

// goImage is this machine's Go with a shell: the image in which example services are tested and built.
func (f full) goImage(ctx context.Context) (image.Image, error) {
	static, err := staticLayer()
	if err != nil {
		return image.Image{}, err
	}
	busybox, err := busyboxLayer(ctx)
	if err != nil {
		return image.Image{}, err
	}
	goroot, err := goRoot(ctx)
	if err != nil {
		return image.Image{}, err
	}
	toolchain := image.Layer{
		Key:   "go " + runtime.Version() + " in " + goroot,
		Write: func(a *image.Archive) error { return addGo(a, goroot) },
	}
	compiled := image.Layer{
		Key:   "tested and built by " + toolchain.Key + " with " + goFlags + ": " + strings.Join(compiledPackages(), " "),
		Write: func(a *image.Archive) error { return f.addCompiled(ctx, a) },
	}
	wrapper, err := image.Small(func(a *image.Archive) error {
		return a.File("usr/local/bin/go", 0o755, fmt.Appendf(nil, goWrapper, goroot))
	})
	if err != nil {
		return image.Image{}, err
	}
	return image.Image{
		Name: "go", Layers: []image.Layer{static, busybox, toolchain, compiled, wrapper},
		Config: image.Config{User: nonrootUser(), WorkingDir: "/home/nonroot", Env: []string{
			"PATH=/usr/local/bin:" + goroot + "/bin:/bin", "HOME=/tmp", "GOFLAGS=" + goFlags,
			// There is neither a C compiler nor a network that serves other toolchains.
			"CGO_ENABLED=0", "GOTOOLCHAIN=local",
		}},
	}, nil
}

func goRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find Go's own folder: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// addGo adds Go's folder under its own path, without what neither building nor testing needs.
func addGo(a *image.Archive, goroot string) error {
	skip := map[string]bool{"api": true, "doc": true, "misc": true, "test": true, "src/cmd": true, "pkg/obj": true}
	return addTree(a, goroot, strings.TrimPrefix(goroot, "/"), func(relative string, d fs.DirEntry) bool {
		return skip[relative] || d.IsDir() && d.Name() == "testdata" || strings.HasSuffix(relative, "_test.go")
	})
}

// goFlags are in force in the Go image: builds do not depend on the folder they run in, and what was compiled for
// the image fits what is compiled in it.
const goFlags = "-trimpath"

// compiledPackages are those of the standard library that small services and their tests are made of.
func compiledPackages() []string {
	return []string{"context", "encoding/json", "flag", "html/template", "log/slog", "net/http", "net/http/httptest", "os/signal"}
}

// addCompiled tests and builds a program that imports the packages, and adds the cache that this filled. Compiling
// the packages alone would leave out what go vet finds in them, and go test runs it each time.
func (f full) addCompiled(ctx context.Context, a *image.Archive) error {
	dir, err := os.MkdirTemp("", "go-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	imports := `import _ "` + strings.Join(compiledPackages(), "\"\nimport _ \"") + `"`
	for name, text := range map[string]string{
		"go.mod":       "module example.com/warm\n",
		"main.go":      "package main\n" + imports + "\nfunc main() {}\n",
		"main_test.go": "package main\nimport \"testing\"\nfunc TestNothing(t *testing.T) {}\n",
	} {
		if err := writeFile(filepath.Join(dir, "program", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	cache := filepath.Join(dir, "cache")
	for _, verb := range []string{"test", "build"} {
		cmd := process.Command(ctx, "go", verb, ".")
		cmd.Dir = filepath.Join(dir, "program")
		cmd.Env = append(os.Environ(), "GOCACHE="+cache, "CGO_ENABLED=0", "GOFLAGS="+goFlags, "GOWORK=off", "GOTOOLCHAIN=local")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("compile for the Go image: %s: %w: %s", cmd, err, out)
		}
	}
	return addTree(a, cache, strings.TrimPrefix(goCache, "/"), func(string, fs.DirEntry) bool { return false })
}

// addTree adds a folder with all that is below it, except what skip names by its path in the folder.
func addTree(a *image.Archive, from, to string, skip func(relative string, d fs.DirEntry) bool) error {
	for dir := filepath.Dir(to); dir != "."; dir = filepath.Dir(dir) {
		if err := a.Dir(dir, 0o755); err != nil {
			return err
		}
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case relative != "." && skip(relative, d) && d.IsDir():
			return fs.SkipDir
		case relative != "." && skip(relative, d):
			return nil
		case d.IsDir():
			return a.Dir(target, 0o755)
		case d.Type().IsRegular():
			return addFile(a, path, target)
		default:
			return nil // links in Go's folder lead to what is left out
		}
	})
}

func addFile(a *image.Archive, path, target string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	return a.Copy(target, mode, info.Size(), file)
}
