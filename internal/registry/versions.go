package registry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// ChartVersions lists the published versions of a chart, highest first: of an HTTP
// repository those in its index, of an OCI registry the tags that are versions. There
// are none where the repository does not know the chart.
func (c *Client) ChartVersions(ctx context.Context, ref ChartRef) ([]string, error) {
	published, err := c.allVersions(ctx, ref)
	if err != nil {
		return nil, c.explain(err, hostOf(ref.Repository), "list the versions of "+ref.Name+" in "+strip(ref.Repository))
	}
	var versions []*semver.Version
	for _, text := range published {
		if v, err := semver.NewVersion(text); err == nil {
			versions = append(versions, v)
		}
	}
	slices.SortFunc(versions, func(a, b *semver.Version) int { return b.Compare(a) })
	texts := make([]string, len(versions))
	for i, v := range versions {
		texts[i] = v.Original()
	}
	return texts, nil
}

func (c *Client) allVersions(ctx context.Context, ref ChartRef) (versions []string, err error) {
	if !isOCI(ref.Repository) {
		_, index, err := c.index(ctx, ref.Repository, []string{ref.Name})
		for _, e := range index[ref.Name] {
			versions = append(versions, e.Version)
		}
		return versions, err
	}
	tag, err := c.chartTag(ref)
	if err != nil {
		return nil, err
	}
	tags, err := remote.List(tag.Context(), c.requests(ctx)...)
	if statusOf(err) == http.StatusNotFound || errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	for _, t := range tags {
		versions = append(versions, strings.ReplaceAll(t, "_", "+"))
	}
	return versions, err
}
