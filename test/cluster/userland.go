package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/image"
)

// userlandPackages are the Debian packages that the userland image is made of, as far as this machine has them. The
// Python ones carry its version in their names.
func userlandPackages() []string {
	list := []string{
		"bash", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep", "gzip", "hostname",
		"mawk", "nodejs", "perl-base", "procps", "python3-minimal", "sed", "tar",
	}
	if python, err := filepath.EvalSymlinks("/usr/bin/python3"); err == nil {
		name := filepath.Base(python)
		list = append(list, name+"-minimal", "lib"+name+"-minimal", "lib"+name+"-stdlib")
	}
	return list
}

// dockerEntrypoint is what Docker's bash image runs first.
const dockerEntrypoint = `#!/bin/bash
if [ "$#" -eq 0 ] || [ "${1#-}" != "$1" ]; then
	exec bash "$@"
fi
exec "$@"
`

// userlandImage is this machine's own shells and tools as an image that runs as root and starts a shell, like those of
// distributions: what runs in it and what runs on this machine are the same programs. Only sh is busybox's.
func (f full) userlandImage(ctx context.Context) (image.Image, error) {
	static, err := staticLayer()
	if err != nil {
		return image.Image{}, err
	}
	files, err := userlandFiles(ctx)
	if err != nil {
		return image.Image{}, err
	}
	key, err := stateOf(files)
	if err != nil {
		return image.Image{}, err
	}
	tools := image.Layer{Key: key, Write: func(a *image.Archive) error { return addUserland(a, files) }}
	return image.Image{
		Name: "userland", Layers: []image.Layer{static, tools},
		Config: image.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
	}, nil
}

// userlandFiles lists programs, scripts and links of the packages, and the libraries that they are linked with.
func userlandFiles(ctx context.Context) ([]string, error) {
	files := []string{"/bin/busybox"}
	for _, name := range userlandPackages() {
		out, err := exec.CommandContext(ctx, "dpkg-query", "--listfiles", name).Output()
		if _, missing := errors.AsType[*exec.ExitError](err); missing {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the files of package %s: %w", name, err)
		}
		for path := range strings.Lines(string(out)) {
			if path = strings.TrimSpace(path); wanted(path) {
				files = append(files, path)
			}
		}
	}
	libraries, err := linkedWith(ctx, files)
	files = append(files, libraries...)
	slices.Sort(files)
	return slices.Compact(files), err
}

// wanted says whether a package's file is one to run or to load.
func wanted(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.IsDir() || path == "/bin/sh" {
		return false
	}
	for _, left := range []string{"/usr/share/", "/etc/", "/idlelib/", "/lib2to3/", "/test/", "/include/", "/node_modules/"} {
		if strings.Contains(path, left) {
			return false
		}
	}
	target, err := os.Readlink(path)
	return err != nil || !strings.HasPrefix(target, "/etc/alternatives/")
}

// linkedWith returns the shared libraries of programs and libraries; ldd finds those of libraries as well.
func linkedWith(ctx context.Context, files []string) ([]string, error) {
	var binaries []string
	for _, path := range files {
		if isELF(path) {
			binaries = append(binaries, path)
		}
	}
	// It ends with 1 when one of them is linked with nothing.
	out, err := exec.CommandContext(ctx, "ldd", binaries...).Output()
	if _, some := errors.AsType[*exec.ExitError](err); err != nil && !some {
		return nil, fmt.Errorf("find the libraries of the userland image: %w", err)
	}
	var libraries []string
	for line := range strings.Lines(string(out)) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") && !strings.HasSuffix(word, ":") {
				libraries = append(libraries, word)
			}
		}
	}
	return libraries, nil
}

func isELF(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	magic := make([]byte, 4)
	_, err = io.ReadFull(file, magic)
	return err == nil && string(magic) == "\x7fELF"
}

// stateOf stands for the content of files: reading all of them takes longer than a start over a running cluster.
func stateOf(files []string) (string, error) {
	sum := sha256.New()
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, path, info.Size(), info.ModTime().UnixNano())
	}
	return fmt.Sprintf("userland %x %s", sum.Sum(nil), dockerEntrypoint), nil
}

// addUserland adds the files where a distribution of today has them: /bin is /usr/bin.
func addUserland(a *image.Archive, files []string) error {
	all := []error{a.Dir("root", 0o700)}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		all = append(all, a.Link(name, "usr/"+name))
	}
	known := map[string]bool{}
	for _, path := range files {
		target := "usr/" + strings.TrimPrefix(strings.TrimPrefix(path, "/"), "usr/")
		all = append(all, addParents(a, target, known))
		if link, err := os.Readlink(path); err == nil && !strings.Contains(filepath.Base(path), ".so") {
			all = append(all, a.Link(target, link))
			continue
		}
		all = append(all, addFile(a, path, target))
	}
	return errors.Join(append(all,
		a.Link("usr/bin/sh", "busybox"), a.Link("usr/bin/ash", "busybox"), a.Link("usr/bin/awk", "mawk"),
		a.Link("usr/bin/which", "which.debianutils"),
		addParents(a, "usr/local/bin/bash", known), a.Link("usr/local/bin/bash", "/usr/bin/bash"),
		a.File("usr/local/bin/docker-entrypoint.sh", 0o755, []byte(dockerEntrypoint)))...)
}

func addParents(a *image.Archive, path string, known map[string]bool) error {
	dir := filepath.Dir(path)
	if dir == "." || known[dir] {
		return nil
	}
	known[dir] = true
	return errors.Join(addParents(a, dir, known), a.Dir(dir, 0o755))
}
