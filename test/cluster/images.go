package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/image"
)

// nonroot is the user of all images: a number, because a name cannot be checked to be another than root's.
const nonroot = 65532

// baseImages makes and pushes the images that stand in for those that other clusters pull from public registries.
// It returns their references by digest, by name.
func (f full) baseImages(ctx context.Context) (map[string]string, error) {
	makers := []func(context.Context) (image.Image, error){f.pauseImage, f.staticImage, f.busyboxImage, f.goImage, f.userlandImage}
	references := map[string]string{}
	for _, make := range makers {
		i, err := make(ctx)
		if err != nil {
			return nil, err
		}
		reference, err := f.registry().Ensure(ctx, i, func() { f.log.Printf("making image %s …", i.Name) })
		if err != nil {
			return nil, err
		}
		references[i.Name] = reference
	}
	text, err := json.MarshalIndent(references, "", "  ")
	if err != nil {
		return nil, err
	}
	return references, writeFile(f.path("images.json"), text, 0o644)
}

// images returns what baseImages returned the last time; nothing before the first.
func (f full) images() map[string]string {
	references := map[string]string{}
	if text, err := os.ReadFile(f.path("images.json")); err == nil {
		_ = json.Unmarshal(text, &references)
	}
	return references
}

func nonrootUser() string { return fmt.Sprintf("%d:%d", nonroot, nonroot) }

// pauseImage is the sandbox of every pod.
func (f full) pauseImage(context.Context) (image.Image, error) {
	path, err := f.programs.path("pause")
	if err != nil {
		return image.Image{}, err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return image.Image{}, err
	}
	layer, err := image.Small(func(a *image.Archive) error { return a.File("pause", 0o755, program) })
	return image.Image{
		Name: "pause", Layers: []image.Layer{layer},
		Config: image.Config{User: nonrootUser(), Entrypoint: []string{"/pause"}},
	}, err
}

// staticImage is what images of Go programs stand on: certificates, users, a place for temporary files.
func (f full) staticImage(context.Context) (image.Image, error) {
	layer, err := staticLayer()
	return image.Image{
		Name: "static", Layers: []image.Layer{layer},
		Config: image.Config{User: nonrootUser(), WorkingDir: "/home/nonroot", Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", "HOME=/home/nonroot",
		}},
	}, err
}

func staticLayer() (image.Layer, error) {
	certificates, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		return image.Layer{}, err
	}
	passwd := fmt.Sprintf("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:%[1]d:%[1]d:nonroot:/home/nonroot:/sbin/nologin\n", nonroot)
	group := fmt.Sprintf("root:x:0:\nnonroot:x:%d:\n", nonroot)
	return image.Small(func(a *image.Archive) error {
		return errors.Join(
			a.Dir("etc", 0o755), a.File("etc/passwd", 0o644, []byte(passwd)), a.File("etc/group", 0o644, []byte(group)),
			a.Dir("etc/ssl", 0o755), a.Dir("etc/ssl/certs", 0o755), a.File("etc/ssl/certs/ca-certificates.crt", 0o644, certificates),
			a.Dir("tmp", 0o1777), a.Dir("home", 0o755), a.DirOf("home/nonroot", 0o755, nonroot),
		)
	})
}

// busyboxImage has a shell, for steps with a script.
func (f full) busyboxImage(ctx context.Context) (image.Image, error) {
	static, err := staticLayer()
	if err != nil {
		return image.Image{}, err
	}
	busybox, err := busyboxLayer(ctx)
	return image.Image{
		Name: "busybox", Layers: []image.Layer{static, busybox},
		Config: image.Config{User: nonrootUser(), WorkingDir: "/home/nonroot", Env: []string{"PATH=/bin", "HOME=/home/nonroot"}},
	}, err
}

func busyboxLayer(ctx context.Context) (image.Layer, error) {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return image.Layer{}, err
	}
	applets, err := exec.CommandContext(ctx, "/bin/busybox", "--list").Output()
	if err != nil {
		return image.Layer{}, fmt.Errorf("list what busybox can do: %w", err)
	}
	return image.Small(func(a *image.Archive) error {
		all := []error{a.Dir("bin", 0o755), a.File("bin/busybox", 0o755, program)}
		for _, name := range strings.Fields(string(applets)) {
			if name != "busybox" {
				all = append(all, a.Link("bin/"+name, "busybox"))
			}
		}
		return errors.Join(all...)
	})
}
