// Command package-chart makes a versioned archive of a Helm chart, with the
// image's digest in its values, and publishes it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/redact"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Path        string        `param:"path" default:"." desc:"Folder of Chart.yaml in the workspace. Example: charts/user-service"`
	Version     string        `param:"version" desc:"Version of the chart, a semantic version. Empty: the one in Chart.yaml. Example: 2.3.119"`
	AppVersion  string        `param:"app-version" desc:"appVersion of the chart. Empty: the version. Example: 2.3.119"`
	Image       string        `param:"image" desc:"Image that the chart deploys, set in its values; with a tag, that is set where the values have one. Empty: the values stay. Example: registry.example.com/acme/user-service:2.3.119"`
	ImageDigest string        `param:"image-digest" desc:"Digest of the image: sha256: and 64 hex digits. Required with image."`
	ImageKey    string        `param:"image-key" default:"image" desc:"Path in the values that holds the keys repository, digest and tag. Example: user-service.image"`
	Repository  string        `param:"repository" required:"true" desc:"Where to publish: oci://host/path, the https:// URL of a repository with ChartMuseum's API, or a folder. Example: oci://registry.example.com/charts"`
	Created     string        `param:"created" desc:"Time of every file in the archive: seconds since 1970 or RFC 3339. Give the commit's time; empty is 1970, so that one commit gives one digest. Example: 1717243200"`
	SkipLint    bool          `param:"skip-lint" desc:"Whether to publish without Helm's linter."`
	Insecure    []string      `param:"insecure" desc:"Registries that may be spoken to in plain HTTP, one host or host:port per line. Loopback always may."`
	CAFile      string        `param:"ca-file" desc:"File with PEM certificates to trust besides the system's."`
	Timeout     time.Duration `param:"timeout" default:"10m" desc:"How long all of it may take. Example: 5m"`

	Source string `workspace:"source" required:"true" checkout:"true" desc:"Folder that path is looked up in. Nothing in it is changed."`
	Docker string `workspace:"dockerconfig" desc:"Folder with a Docker config.json for the chart repositories."`
	Cache  string `workspace:"cache" desc:"Folder that keeps fetched dependencies by their digest. Empty: one below TMPDIR."`
	Creds  string `credentials:"path"`

	Chart     string `result:"chart" desc:"The chart's name."`
	Published string `result:"version" desc:"The chart's version."`
	Digest    string `result:"digest" desc:"sha256: and 64 hex digits, of the OCI manifest or else of the archive."`
	Outputs   string `result:"CHART_ARTIFACT_OUTPUTS" properties:"uri,digest" desc:"JSON object with uri and digest of the published chart."`
}

func main() {
	step.Main("package-chart", "package a Helm chart with its image's digest and publish it", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	options, err := c.options()
	if err != nil {
		return err
	}
	dir, err := chart.Inside(c.Source, c.Path)
	if err != nil {
		return err
	}
	packaged, err := chart.Package(ctx, dir, options)
	if err != nil {
		return err
	}
	for _, warning := range packaged.Warnings {
		slog.WarnContext(ctx, "linter", "warning", warning)
	}
	if c.Image != "" && !packaged.TemplatesName("digest") {
		slog.WarnContext(ctx, "no template names the digest: the chart deploys its image by tag", "write", fmt.Sprintf("{{ .Values%s }}@{{ .Values%s }}", c.imagePath("repository"), c.imagePath("digest")))
	}
	pushed, err := chart.Push(ctx, packaged, c.Repository, options.Access)
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "published the chart", "chart", packaged.Name, "version", packaged.Version,
		"url", redact.URL(pushed.URL), "digest", pushed.Digest, "existed", pushed.Existed)
	return c.hand(packaged, pushed)
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (c *config) options() (chart.PackageOptions, error) {
	created, err := registry.ParseCreated(c.Created)
	if (c.Image == "") != (c.ImageDigest == "") {
		err = errors.Join(err, fault.Usage("ImageInvalid", errors.New("image and image-digest are given together or not at all"),
			"A tag alone can be moved: a chart names its image by digest."))
	}
	if c.ImageDigest != "" && !digestForm.MatchString(c.ImageDigest) {
		err = errors.Join(err, fault.Usage("ImageInvalid", fmt.Errorf("image-digest %q is no digest", c.ImageDigest), "Its form is sha256: and 64 hex digits."))
	}
	options := chart.PackageOptions{
		Options: chart.Options{Cache: c.Cache, Access: registry.Access{
			DockerConfig: registry.FindDockerConfig(c.Docker, c.Creds), Insecure: c.Insecure, CAFile: c.CAFile,
		}},
		Version: c.Version, AppVersion: c.AppVersion, Created: created, SkipLint: c.SkipLint,
	}
	if options.AppVersion == "" {
		options.AppVersion = c.Version
	}
	if c.Image != "" {
		options.Values = c.setImage
	}
	return options, err
}

// setImage writes the image into the text of values.yaml.
func (c *config) setImage(values []byte) ([]byte, error) {
	repository, tag := splitTag(c.Image)
	for _, set := range []struct{ key, value string }{{"repository", repository}, {"digest", c.ImageDigest}} {
		var err error
		if values, _, err = edit.SetValue(values, c.imagePath(set.key), set.value); err != nil {
			return nil, c.unset(set.key, err)
		}
	}
	if _, err := edit.Value(values, c.imagePath("tag")); tag == "" || errors.Is(err, edit.ErrNotFound) {
		return values, nil
	}
	values, _, err := edit.SetValue(values, c.imagePath("tag"), tag)
	return values, err
}

// unset says how a chart gets a key that it lacks. A chart that helm create made
// names its image by tag.
func (c *config) unset(key string, err error) error {
	err = fmt.Errorf("set %s in values.yaml: %w", c.imagePath(key), err)
	if !errors.Is(err, edit.ErrNotFound) {
		return err
	}
	if key != "digest" {
		return fault.Refused(edit.NotFound, err, "Name the place of the image in values.yaml with image-key, or add it there: the keys repository and digest.")
	}
	return fault.Refused(edit.NotFound, err, fmt.Sprintf(`Add digest: "" below %s in values.yaml, and write "{{ .Values%s }}@{{ .Values%s }}" as the image in the template.`,
		c.ImageKey, c.imagePath("repository"), c.imagePath("digest")))
}

func (c *config) imagePath(key string) string { return "." + c.ImageKey + "." + key }

// splitTag takes the tag off a reference; a port is none.
func splitTag(image string) (repository, tag string) {
	if at := strings.LastIndexByte(image, ':'); at > strings.LastIndexByte(image, '/') {
		return image[:at], image[at+1:]
	}
	return image, ""
}

func (c *config) hand(packaged chart.Packaged, pushed registry.Pushed) error {
	outputs, err := json.Marshal(map[string]string{"uri": redact.URL(pushed.URL), "digest": pushed.Digest})
	c.Chart, c.Published, c.Digest, c.Outputs = packaged.Name, packaged.Version, pushed.Digest, string(outputs)
	return err
}
