package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"golang.org/x/sync/errgroup"
)

// MaxArchive bounds a chart archive, in bytes. A Helm release that holds the
// chart has to fit into one MiB, so real ones are far smaller.
const MaxArchive = 32 << 20

const mismatchHint = "The repository, or something between it and here, changed the archive. It is not used."

// parallel bounds the requests that one call has under way.
const parallel = 8

// ChartRef names one version of a chart. Version is exact, never a range.
type ChartRef struct {
	Repository string // oci://host/path, http(s)://host/path
	Name       string
	Version    string
}

func (r ChartRef) String() string {
	return fmt.Sprintf("chart %s %s in %s", r.Name, r.Version, strip(r.Repository))
}

// Location is where a chart's version was found.
type Location struct {
	Ref     ChartRef
	URL     string // oci://host/path/name:tag or the archive's URL, without userinfo
	Digest  string // sha256:… of the OCI manifest, or of the archive in an HTTP repository; "" where the index has none
	Content string // sha256:… of the archive; "" where unknown before the download
}

// FindChart asks whether a version is published, with the fewest bytes: one
// HEAD at an OCI registry, the index up to the entry elsewhere. The error is
// ErrNotFound where the repository answers that it is not. Location.Content is
// not filled for OCI.
func (c *Client) FindChart(ctx context.Context, ref ChartRef) (Location, error) {
	if isOCI(ref.Repository) {
		return c.headOCI(ctx, ref)
	}
	found, err := c.LocateCharts(ctx, ref)
	if err != nil {
		return Location{}, err
	}
	return found[0], nil
}

// LocateCharts finds several versions in parallel; each HTTP repository's index
// is read once, whatever number of charts comes from it. Every version that is
// missing is named in the error, which is then ErrNotFound.
func (c *Client) LocateCharts(ctx context.Context, refs ...ChartRef) ([]Location, error) {
	found := make([]Location, len(refs))
	faults := make([]error, len(refs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for repository, members := range byRepository(refs) {
		if isOCI(repository) {
			for _, i := range members {
				group.Go(func() error {
					found[i], faults[i] = c.locateOCI(ctx, refs[i])
					return nil
				})
			}
			continue
		}
		group.Go(func() error {
			c.locateHTTP(ctx, refs, members, found, faults)
			return nil
		})
	}
	_ = group.Wait()
	return found, errors.Join(faults...)
}

func byRepository(refs []ChartRef) map[string][]int {
	groups := map[string][]int{}
	for i, ref := range refs {
		groups[ref.Repository] = append(groups[ref.Repository], i)
	}
	return groups
}

// DownloadChart fetches the archive at a location that LocateCharts returned
// and checks it against the digest that the repository promised.
func (c *Client) DownloadChart(ctx context.Context, at Location) ([]byte, error) {
	var content []byte
	var err error
	if isOCI(at.Ref.Repository) {
		content, err = c.downloadOCI(ctx, at)
	} else {
		content, err = c.downloadHTTP(ctx, at)
	}
	if err != nil {
		return nil, c.explain(err, hostOf(at.URL), "fetch "+at.Ref.String())
	}
	if got := Digest(content); at.Content != "" && got != at.Content {
		return nil, fault.Refused("DigestMismatch",
			fmt.Errorf("fetch %s: the archive has digest %s, the repository promised %s", at.Ref, got, at.Content),
			mismatchHint)
	}
	return content, nil
}

// Digest is the content address of an archive: sha256:<64 hex>.
func Digest(content []byte) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(content))
}
