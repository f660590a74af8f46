// Command package-image puts built files onto a base image and pushes the
// result, without a daemon and without privileges.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Base       string        `param:"base" required:"true" desc:"Image to build on, best by digest; scratch is the empty one. A tag is resolved and its digest logged. Example: gcr.io/distroless/static-debian12@sha256:…"`
	Files      []string      `param:"files" required:"true" desc:"What goes into the image, one source:target per line. A source is a file or folder of the workspace, a target an absolute path; with a final slash it is the folder to put a file into. Example: bin/user-service:/app/user-service"`
	Entrypoint []string      `param:"entrypoint" desc:"Program and arguments that the image runs, one word per line. Empty: the base's. Example: /app/user-service"`
	Env        []string      `param:"env" desc:"Variables of the image, one NAME=value per line."`
	WorkingDir string        `param:"working-dir" desc:"Folder that the program starts in. Empty: the base's. Example: /app"`
	User       string        `param:"user" desc:"User and group as numbers. Empty: the base's, unless that is root; then 65532:65532. Example: 1000:1000"`
	Platform   string        `param:"platform" default:"linux/amd64" desc:"Operating system and architecture to choose from a base for several. Example: linux/arm64"`
	Repository string        `param:"repository" required:"true" desc:"Where to push, without tag. Example: registry.example.com/acme/user-service"`
	Tags       []string      `param:"tag" desc:"Tags to give the image, one per line. Empty: the version. Example: 2.3.119"`
	Version    string        `param:"version" desc:"Version, for the label org.opencontainers.image.version. Example: 2.3.119"`
	Revision   string        `param:"revision" desc:"Commit that was built, for the label org.opencontainers.image.revision. Example: 40 hex digits"`
	SourceURL  string        `param:"source-url" desc:"Repository that was built, for the label org.opencontainers.image.source. Example: https://git.example.com/acme/user-service"`
	Labels     []string      `param:"labels" desc:"More labels, one key=value per line."`
	Created    string        `param:"created" desc:"Time of the image and of every file in it: seconds since 1970 or RFC 3339. Give the commit's time; empty is 1970, so that one commit gives one digest. Example: 1717243200"`
	Insecure   []string      `param:"insecure" desc:"Registries that may be spoken to in plain HTTP, one host or host:port per line. Loopback always may."`
	CAFile     string        `param:"ca-file" desc:"File with PEM certificates to trust besides the system's."`
	Timeout    time.Duration `param:"timeout" default:"10m" desc:"How long all of it may take. Example: 5m"`

	Source string `workspace:"source" required:"true" checkout:"true" desc:"Folder that the sources of files are looked up in."`
	Docker string `workspace:"dockerconfig" desc:"Folder with a Docker config.json for the registries of base and repository."`
	Creds  string `credentials:"path"`

	URL    string `result:"IMAGE_URL" desc:"The image with its first tag. Example: registry.example.com/acme/user-service:2.3.119"`
	Digest string `result:"IMAGE_DIGEST" desc:"The image's digest: sha256: and 64 hex digits."`
}

func main() {
	step.Main("package-image", "put built files onto a base image and push it", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	options, err := c.image()
	if err != nil {
		return err
	}
	client, err := registry.New(registry.Access{
		DockerConfig: registry.FindDockerConfig(c.Docker, c.Creds), Insecure: c.Insecure, CAFile: c.CAFile,
	})
	if err != nil {
		return err
	}
	image, err := client.BuildImage(ctx, options)
	if err != nil {
		return err
	}
	defer image.Close()
	slog.InfoContext(ctx, "built the image", "base", image.Base, "platform", image.Platform, "digest", image.Digest)
	url, err := client.PushImage(ctx, image, c.Repository, c.tags())
	if err != nil {
		return err
	}
	c.URL, c.Digest = url, image.Digest
	slog.InfoContext(ctx, "pushed the image", "image", url, "digest", image.Digest)
	return nil
}

func (c *config) tags() []string {
	if len(c.Tags) == 0 && c.Version != "" {
		return []string{strings.ReplaceAll(c.Version, "+", "_")}
	}
	return c.Tags
}

func (c *config) image() (registry.ImageOptions, error) {
	created, timeErr := registry.ParseCreated(c.Created)
	labels, labelErr := c.labels()
	return registry.ImageOptions{
		Base: c.Base, Platform: c.Platform, Folder: c.Source, Files: c.Files,
		Entrypoint: c.Entrypoint, Env: c.Env, WorkingDir: c.WorkingDir, User: c.User,
		Labels: labels, Created: created,
	}, errors.Join(timeErr, labelErr)
}

func (c *config) labels() (map[string]string, error) {
	labels := map[string]string{}
	for key, value := range map[string]string{
		"org.opencontainers.image.version":  c.Version,
		"org.opencontainers.image.revision": c.Revision,
		"org.opencontainers.image.source":   c.SourceURL,
	} {
		if value != "" {
			labels[key] = value
		}
	}
	for _, line := range c.Labels {
		key, value, ok := strings.Cut(line, "=")
		if !ok || key == "" {
			return nil, fault.Usage("LabelInvalid", fmt.Errorf("label %q is not key=value", line), "Example: org.opencontainers.image.vendor=Acme")
		}
		labels[key] = value
	}
	return labels, nil
}
