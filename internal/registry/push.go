package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Archive is a packaged chart that is to be published.
type Archive struct {
	Name, Version string
	Description   string
	Content       []byte    // the .tgz
	Metadata      []byte    // Chart.yaml as JSON: the config of the OCI artifact
	Created       time.Time // goes into the manifest; the zero value is left out
}

func (a Archive) ref(repository string) ChartRef {
	return ChartRef{Repository: repository, Name: a.Name, Version: a.Version}
}

// Pushed is where an archive is published now.
type Pushed struct {
	Location
	Existed bool // the same content was there before; nothing was written
}

// PushChart publishes an archive in a repository: oci://host/path, http(s)://
// with ChartMuseum's API, file:///folder or a folder's path. A version that
// exists with the same content is left as it is; one with other content is
// refused, since whoever deployed that version would silently get another.
func (c *Client) PushChart(ctx context.Context, repository string, a Archive) (Pushed, error) {
	ref := a.ref(repository)
	there, err := c.existing(ctx, ref)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Pushed{}, err
	}
	if err == nil {
		return c.settle(ctx, there, a)
	}
	switch {
	case isOCI(repository):
		return c.pushAgain(ctx, a, ref, c.pushOCI)
	case isHTTP(repository):
		return c.pushAgain(ctx, a, ref, c.pushMuseum)
	default:
		return pushFolder(a, ref)
	}
}

// pushAgain publishes once more after a failure that passes: content and tag are
// the same then, and a version that got there meanwhile is compared.
func (c *Client) pushAgain(ctx context.Context, a Archive, ref ChartRef, push func(context.Context, Archive, ChartRef) (Pushed, error)) (pushed Pushed, err error) {
	err = c.again(ctx, strip(ref.Repository), func(ctx context.Context) error {
		pushed, err = push(ctx, a, ref)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return pushed, fault.Refused("RepositoryNotFound", err, "Create the repository first, and check that its URL is the one to publish to.")
	}
	return pushed, err
}

func (c *Client) existing(ctx context.Context, ref ChartRef) (Location, error) {
	switch {
	case isOCI(ref.Repository):
		return c.locateOCI(ctx, ref)
	case isHTTP(ref.Repository):
		return c.FindChart(ctx, ref)
	default:
		return locateFolder(ref)
	}
}

// settle decides about a version that is already published.
func (c *Client) settle(ctx context.Context, there Location, a Archive) (Pushed, error) {
	if there.Content == "" {
		content, err := c.DownloadChart(ctx, there)
		if err != nil {
			return Pushed{}, err
		}
		there.Content = Digest(content)
	}
	if there.Content == Digest(a.Content) {
		if there.Digest == "" {
			there.Digest = there.Content
		}
		return Pushed{Location: there, Existed: true}, nil
	}
	return Pushed{}, fault.Refused("VersionExists",
		fmt.Errorf("publish %s: that version exists with other content (%s, not %s)", there.Ref, there.Content, Digest(a.Content)),
		"A published version never changes: publish the change under a new version.")
}

// folderOf is the path behind a repository that is a folder.
func folderOf(repository string) string { return strings.TrimPrefix(repository, "file://") }
