package chart

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
)

// parallel bounds the downloads under way.
const parallel = 8

// fetch returns the charts of the dependencies that are not vendored: local
// ones from the chart's own files, the others from their repositories.
func fetch(ctx context.Context, absent []dependency, files []*loader.BufferedFile, opts Options) ([]*Chart, error) {
	var fetched []*Chart
	var refs []registry.ChartRef
	seen := map[registry.ChartRef]bool{}
	for _, dep := range absent {
		if strings.HasPrefix(dep.Repository, "file://") {
			local, err := loadLocal(dep, files)
			if err != nil {
				return nil, err
			}
			fetched = append(fetched, local)
			continue
		}
		ref, err := refOf(dep)
		if err != nil {
			return nil, err
		}
		if !seen[ref] { // one chart under two aliases is loaded once
			seen[ref] = true
			refs = append(refs, ref)
		}
	}
	remote, err := fetchRemote(ctx, refs, opts)
	return append(fetched, remote...), err
}

func refOf(dep dependency) (registry.ChartRef, error) {
	for _, scheme := range []string{"oci://", "https://", "http://"} {
		if strings.HasPrefix(dep.Repository, scheme) {
			return registry.ChartRef{Repository: dep.Repository, Name: dep.Name, Version: dep.version}, nil
		}
	}
	return registry.ChartRef{}, fault.Refused("RepositoryUnknown",
		fmt.Errorf("the dependency %s names the repository %q", dep, dep.Repository),
		"Write the repository's URL (oci://… or https://…): a name such as @stable means something only on one person's laptop.")
}

func fetchRemote(ctx context.Context, refs []registry.ChartRef, opts Options) ([]*Chart, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	client, err := registry.New(opts.Access)
	if err != nil {
		return nil, err
	}
	found, err := client.LocateCharts(ctx, refs...)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, fault.Refused("DependencyMissing", fmt.Errorf("%w: %w", err, ErrMissing),
			"Publish that version, or write one that is published. Nothing was deployed without it.")
	}
	if err != nil {
		return nil, err
	}
	archives := cache{folder: opts.Cache}
	charts := make([]*Chart, len(found))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, at := range found {
		group.Go(func() error {
			fetched, err := fetchOne(ctx, client, archives, at)
			charts[i] = fetched
			return err
		})
	}
	return charts, group.Wait()
}

func fetchOne(ctx context.Context, client *registry.Client, archives cache, at registry.Location) (*Chart, error) {
	content, ok := archives.get(at.Content)
	if !ok {
		var err error
		if content, err = client.DownloadChart(ctx, at); err != nil {
			return nil, err
		}
	}
	c, err := Open(content)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", at.Ref, err)
	}
	dep := dependency{version: at.Ref.Version}
	if c.Name() != at.Ref.Name || !sameVersion(c.Metadata.Version, dep) {
		return nil, fault.Refused("DigestMismatch",
			fmt.Errorf("%s holds the chart %s %s", at.Ref, c.Name(), c.Metadata.Version), "The repository's content is not what its index says.")
	}
	if !ok {
		archives.put(content)
	}
	return c, nil
}

// loadLocal loads a dependency of the form file://folder from the files that
// were read with the chart: a folder outside it is another repository's matter.
func loadLocal(dep dependency, files []*loader.BufferedFile) (*Chart, error) {
	folder := path.Clean(strings.TrimPrefix(dep.Repository, "file://"))
	if path.IsAbs(folder) || folder == "." || folder == ".." || strings.HasPrefix(folder, "../") {
		return nil, fault.Refused("RepositoryUnknown",
			fmt.Errorf("the dependency %s lies outside the chart, at %s: %w", dep, dep.Repository, ErrUnsafe),
			"Vendor it under charts/ or publish it in a chart repository.")
	}
	var own []*loader.BufferedFile
	for _, f := range files {
		if name, below := strings.CutPrefix(f.Name, folder+"/"); below {
			own = append(own, &loader.BufferedFile{Name: name, Data: f.Data})
		}
	}
	if len(own) == 0 {
		return nil, fault.Refused("DependencyMissing", fmt.Errorf("the dependency %s is not at %s: %w", dep, dep.Repository, ErrMissing), "")
	}
	c, err := assemble(own)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dep.Repository, err)
	}
	if c.Name() != dep.Name || !sameVersion(c.Metadata.Version, dep) {
		return nil, fault.Refused("VendoredChartStale",
			fmt.Errorf("%s holds %s %s, not %s: %w", dep.Repository, c.Name(), c.Metadata.Version, dep, ErrStale), "")
	}
	return c, nil
}
