package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// weight is what a program costs before it does anything. Compressed is its
// layer in an image, made the way ko makes it; the base is not in it.
type weight struct {
	Name       string
	Kind       string
	Binary     int64
	Compressed int64
	Starts     []usage // of `<program> version`
}

// The kinds that have a target of their own.
const (
	gitOnly   = "git only"
	inCluster = "cluster"
	packaging = "packaging"
	reference = "for comparison"
)

// kindOf says what a step links: design §1 keeps Helm and client-go out of the
// first kind.
func kindOf(step string) string {
	switch step {
	case "clone", "next-version", "tag", "bump-version", "commit", "promote", "open-pull-request", "rollback":
		return gitOnly
	case "package-image", "package-chart":
		return packaging
	}
	return inCluster
}

// weights measures B8: the layer of every step, and how it starts, in turn.
func (l *lab) weights(ctx context.Context, steps []string, warmups, runs int) ([]weight, error) {
	var all []weight
	for _, step := range steps {
		w := weight{Name: step, Kind: kindOf(step)}
		var err error
		if w.Binary, w.Compressed, err = layer(filepath.Join(l.programs, step)); err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	files, err := gitFiles(ctx)
	if err != nil {
		return nil, err
	}
	w := weight{Name: "git", Kind: reference}
	if w.Binary, w.Compressed, err = layer(files...); err != nil {
		return nil, err
	}
	all = append(all, w)
	p := place{dir: filepath.Join(l.dir, "starts")}
	defer os.RemoveAll(p.dir)
	dir, env, err := l.folder(p, "writer")
	if err != nil {
		return nil, err
	}
	for i := range warmups + runs {
		for at := range all {
			used, err := l.measure(ctx, dir, env, all[at].Name, "version")
			if err != nil {
				return nil, err
			}
			if i >= warmups {
				all[at].Starts = append(all[at].Starts, used)
			}
		}
	}
	return all, nil
}

// layer packs files as one layer and returns their size before and after.
func layer(files ...string) (plain, compressed int64, err error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return 0, 0, err
		}
		plain += int64(len(content))
		header := &tar.Header{Name: "ko-app/" + filepath.Base(file), Mode: 0o555, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(header); err != nil {
			return 0, 0, err
		}
		if _, err := w.Write(content); err != nil {
			return 0, 0, err
		}
	}
	if err := w.Close(); err != nil {
		return 0, 0, err
	}
	packed, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
	if err != nil {
		return 0, 0, err
	}
	compressed, err = packed.Size()
	return plain, compressed, err
}

// gitFiles are what git needs for HTTP: git, git-remote-http, and the shared
// libraries of both. Shells, Perl and templates are left out.
func gitFiles(ctx context.Context) ([]string, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, err
	}
	libexec, err := git(ctx, ".", "--exec-path")
	if err != nil {
		return nil, err
	}
	files := []string{program, filepath.Join(libexec, "git-remote-http")}
	for _, binary := range slices.Clone(files) {
		out, err := exec.CommandContext(ctx, "ldd", binary).Output()
		if err != nil {
			return nil, fmt.Errorf("list the libraries of %s: %w", filepath.Base(binary), err)
		}
		for word := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(word, "/") && !slices.Contains(files, word) {
				files = append(files, word)
			}
		}
	}
	return files, nil
}

// work is what each program of one promotion used.
type work struct {
	Name string
	Used []usage
}

// worksOf measures the three programs of a promotion one by one, without delay.
func (l *lab) worksOf(ctx context.Context, f fixture, warmups, runs int) ([]work, error) {
	l.link.setRoundTrip(0)
	app := application(f.Dependencies / 2)
	all := []work{{Name: "clone"}, {Name: "bump-version"}, {Name: "commit"}}
	for i := range warmups + runs {
		p, err := l.newPlace(f)
		if err != nil {
			return nil, err
		}
		dir, env, err := l.folder(p, "writer")
		if err != nil {
			return nil, err
		}
		url := strings.TrimPrefix(p.env[0], "URL=")
		for at, args := range [][]string{
			{"--url", url, "--output", "env"}, {"--source", "env", "--name", app, "--version", promotedVersion}, {"--source", "env"},
		} {
			used, err := l.measure(ctx, dir, env, all[at].Name, args...)
			if err != nil {
				return nil, err
			}
			if i >= warmups {
				all[at].Used = append(all[at].Used, used)
			}
		}
		l.clear(p)
	}
	return all, nil
}
