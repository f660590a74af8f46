// Package chart knows Helm charts as files: their dependencies and lock, where
// the archives come from, and how a chart becomes an archive that is the same
// for the same commit. It neither renders for a cluster nor deploys.
package chart

import (
	"context"
	"errors"
	"fmt"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
)

// Chart is Helm's chart. The alias lets other rooms hand one on without
// importing Helm's packages.
type Chart = helmchart.Chart

// Dependency is an entry of a chart's dependencies, or of its lock, as Helm
// reads it.
type Dependency = helmchart.Dependency

// Sentinels of this room. Each is wrapped in a fault that refuses for good.
var (
	ErrStale     = errors.New("vendored or locked dependency does not match the chart")
	ErrMissing   = errors.New("dependency is missing")
	ErrDuplicate = errors.New("two dependencies have one name")
	ErrUnsafe    = errors.New("unsafe content")
)

// Options say where a chart's dependencies may come from.
type Options struct {
	Access registry.Access
	// Cache is a folder that keeps fetched archives by their digest. Empty: one
	// below the temporary folder. What is read from it is checked, so it may be
	// shared; it is never cleaned up here.
	Cache string
}

// Load reads the chart in the folder dir with all its dependencies: vendored
// ones are checked against the lock, the others are fetched in parallel. It
// writes nothing into dir. What Helm would skip in silence – a dependency that
// is not there, a stale archive, two files that define dependencies, two
// dependencies with one name – is an error.
func Load(ctx context.Context, dir string, opts Options) (*Chart, error) {
	files, err := readFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("read the chart in %s: %w", dir, err)
	}
	c, err := load(ctx, files, opts)
	if err != nil {
		return nil, fmt.Errorf("load the chart in %s: %w", dir, err)
	}
	return c, nil
}

// load makes a chart of a folder's files and completes its dependencies.
func load(ctx context.Context, files []*loader.BufferedFile, opts Options) (*Chart, error) {
	wanted, err := readDependencies(files)
	if err != nil {
		return nil, err
	}
	c, err := assemble(files)
	if err != nil {
		return nil, err
	}
	absent, err := wanted.compare(c.Dependencies())
	if err != nil {
		return nil, err
	}
	fetched, err := fetch(ctx, absent, files, opts)
	if err != nil {
		return nil, err
	}
	subs, err := once(append(c.Dependencies(), fetched...))
	if err != nil {
		return nil, err
	}
	c.SetDependencies(subs...)
	for _, sub := range c.Dependencies() {
		if err := complete(sub); err != nil {
			return nil, err
		}
	}
	return c, checkSchemas(c)
}

// assemble is Helm's loader behind our own limits.
func assemble(files []*loader.BufferedFile) (*Chart, error) {
	for _, f := range files {
		if isVendoredArchive(f.Name) {
			if err := checkArchive(f.Data); err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fault.Refused("ChartInvalid", err, "`helm lint` shows the same on a laptop.")
	}
	return c, nil
}

// complete checks that a sub-chart brought along all it depends on. Helm checks
// the top level only and renders the rest without what is missing.
func complete(c *Chart) error {
	present := map[string]bool{}
	for _, sub := range c.Dependencies() {
		present[sub.Name()] = true
		if err := complete(sub); err != nil {
			return err
		}
	}
	for _, dep := range c.Metadata.Dependencies {
		if !present[dep.Name] {
			return fault.Refused("DependencyMissing",
				fmt.Errorf("%s %s was packaged without its dependency %s %s: %w", c.Name(), c.Metadata.Version, dep.Name, dep.Version, ErrMissing),
				"Package that chart again after `helm dependency build`.")
		}
	}
	return nil
}
