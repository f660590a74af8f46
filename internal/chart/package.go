package chart

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
)

// PackageOptions say what is set in the packaged copy of a chart. The folder
// itself stays as it is.
type PackageOptions struct {
	Options
	Version    string // semantic version; "" keeps the chart's own
	AppVersion string // "" keeps the chart's own
	// Values edits the text of values.yaml, which is empty where there is none.
	// Nil keeps it. The archive holds what it returns, byte for byte.
	Values func(text []byte) ([]byte, error)
	// Created is the time of every entry of the archive and of the published
	// manifest: the commit's, so that one commit gives one digest.
	Created time.Time
	// SkipLint leaves out Helm's checks of templates and metadata.
	SkipLint bool
}

// Packaged is a chart's archive and what repositories want to know about it.
type Packaged struct {
	Name, Version, AppVersion string
	Archive                   []byte
	Digest                    string   // sha256:… of Archive
	Warnings                  []string // of the linter
	push                      registry.Archive
	chart                     *Chart
}

// TemplatesName reports whether a template of the chart or of a sub-chart
// contains a word.
func (p Packaged) TemplatesName(word string) bool { return templatesName(p.chart, word) }

func templatesName(c *Chart, word string) bool {
	named := func(t *helmchart.File) bool { return bytes.Contains(t.Data, []byte(word)) }
	return slices.ContainsFunc(c.Templates, named) ||
		slices.ContainsFunc(c.Dependencies(), func(sub *Chart) bool { return templatesName(sub, word) })
}

// Package makes an archive of the chart in dir with all its dependencies. The
// same files and options give the same bytes.
func Package(ctx context.Context, dir string, opts PackageOptions) (Packaged, error) {
	files, err := readFolder(dir)
	if err != nil {
		return Packaged{}, fmt.Errorf("read the chart in %s: %w", dir, err)
	}
	if files, err = edited(files, opts); err != nil {
		return Packaged{}, fmt.Errorf("package the chart in %s: %w", dir, err)
	}
	c, err := load(ctx, files, opts.Options)
	if err != nil {
		return Packaged{}, fmt.Errorf("package the chart in %s: %w", dir, err)
	}
	if err := setVersions(c, opts); err != nil {
		return Packaged{}, err
	}
	var warnings []string
	if !opts.SkipLint {
		if warnings, err = lintChart(c); err != nil {
			return Packaged{}, err
		}
	}
	archive, err := archiveOf(c, opts.Created)
	if err != nil {
		return Packaged{}, fmt.Errorf("package the chart in %s: %w", dir, err)
	}
	return packaged(c, archive, warnings, opts.Created)
}

func packaged(c *Chart, archive []byte, warnings []string, created time.Time) (Packaged, error) {
	metadata, err := json.Marshal(c.Metadata)
	return Packaged{
		Name: c.Name(), Version: c.Metadata.Version, AppVersion: c.Metadata.AppVersion,
		Archive: archive, Digest: registry.Digest(archive), Warnings: warnings, chart: c,
		push: registry.Archive{
			Name: c.Name(), Version: c.Metadata.Version, Description: c.Metadata.Description,
			Content: archive, Metadata: metadata, Created: created,
		},
	}, err
}

// Push publishes a packaged chart in a repository, see registry.PushChart.
func Push(ctx context.Context, p Packaged, repository string, access registry.Access) (registry.Pushed, error) {
	client, err := registry.New(access)
	if err != nil {
		return registry.Pushed{}, err
	}
	return client.PushChart(ctx, repository, p.push)
}

// edited replaces the text of values.yaml by the edited one.
func edited(files []*loader.BufferedFile, opts PackageOptions) ([]*loader.BufferedFile, error) {
	if opts.Values == nil {
		return files, nil
	}
	values := find(files, chartutil.ValuesfileName)
	if values == nil {
		values = &loader.BufferedFile{Name: chartutil.ValuesfileName}
		files = append(files, values)
	}
	text, err := opts.Values(values.Data)
	values.Data = text
	return files, err
}

func setVersions(c *Chart, opts PackageOptions) error {
	if opts.Version != "" {
		if _, err := semver.StrictNewVersion(opts.Version); err != nil {
			return fault.Usage("VersionInvalid", fmt.Errorf("version %q is no semantic version", opts.Version), "Example: 2.3.119")
		}
		c.Metadata.Version = opts.Version
	}
	if opts.AppVersion != "" {
		c.Metadata.AppVersion = opts.AppVersion
	}
	return nil
}

// archiveOf lets Helm write the archive, since it knows which files belong into
// it, and then writes the same content anew: Helm puts the time of packaging
// into every entry and orders sub-charts by chance.
func archiveOf(c *Chart, created time.Time) ([]byte, error) {
	folder, err := os.MkdirTemp("", "lockstep-chart-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path, err := chartutil.Save(c, folder)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	entries, err := entriesOf(file)
	if err != nil {
		return nil, err
	}
	return writeArchive(entries, created)
}

type entry struct {
	name    string
	content []byte
}

func entriesOf(file io.Reader) ([]entry, error) {
	zip, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{header.Name, content})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	for i := 1; i < len(entries); i++ {
		if entries[i].name == entries[i-1].name {
			return nil, fault.Refused("ChartInvalid",
				fmt.Errorf("the archive would hold %s twice: %w", entries[i].name, ErrDuplicate),
				"Two versions of one chart cannot be packed into one archive; a Helm release can deploy them from the folder.")
		}
	}
	return entries, nil
}

// writeArchive fixes everything that is not content: time, owner, mode, order.
func writeArchive(entries []entry, created time.Time) ([]byte, error) {
	if created.IsZero() {
		created = time.Unix(0, 0)
	}
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.content)), ModTime: created.UTC().Truncate(time.Second)}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(e.content); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
