package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Media types of Helm charts in OCI registries, as Helm 3 writes and reads them.
const (
	chartConfigType types.MediaType = "application/vnd.cncf.helm.config.v1+json"
	chartLayerType  types.MediaType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	legacyLayerType types.MediaType = "application/tar+gzip"
)

// repository parses host/path and applies the leave for plain HTTP.
func (c *Client) repository(path string) (name.Repository, error) {
	var options []name.Option
	if host, _, _ := strings.Cut(path, "/"); c.insecure.plain(host) {
		options = append(options, name.Insecure)
	}
	repo, err := name.NewRepository(path, options...)
	if err != nil {
		return repo, fault.Usage("RepositoryInvalid", fmt.Errorf("repository %q: %w", strip(path), err), "Example: registry.example.com/acme/user-service")
	}
	return repo, nil
}

// requests are the options of requests. The library does not repeat them: this
// client does.
func (c *Client) requests(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(c.http), remote.WithAuthFromKeychain(c.keys),
		remote.WithUserAgent("lockstep"), remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
	}
}

// chartTag is where Helm publishes a chart's version: <repository>/<name>, with
// the plus of build metadata, which a tag cannot hold, as an underscore.
func (c *Client) chartTag(ref ChartRef) (name.Tag, error) {
	path := strings.TrimSuffix(strings.TrimPrefix(ref.Repository, "oci://"), "/") + "/" + ref.Name
	if strings.Contains(path, "@") {
		return name.Tag{}, fault.Usage("CredentialsInURL", fmt.Errorf("the repository URL %s carries credentials", strip(ref.Repository)), "")
	}
	repo, err := c.repository(path)
	if err != nil {
		return name.Tag{}, err
	}
	tag, err := name.NewTag(repo.Name()+":"+tagOf(ref.Version), name.WithDefaultTag(""), insecureOption(repo))
	if err != nil {
		return name.Tag{}, fault.Usage("VersionInvalid", fmt.Errorf("version %q of %s: %w", ref.Version, ref.Name, err), "")
	}
	return tag, nil
}

func insecureOption(repo name.Repository) name.Option {
	if repo.Scheme() == "http" {
		return name.Insecure
	}
	return name.WeakValidation
}

func tagOf(version string) string { return strings.ReplaceAll(version, "+", "_") }

// headOCI asks only for the manifest's digest.
func (c *Client) headOCI(ctx context.Context, ref ChartRef) (Location, error) {
	tag, err := c.chartTag(ref)
	if err != nil {
		return Location{}, err
	}
	desc, err := remote.Head(tag, c.requests(ctx)...)
	if err != nil {
		return Location{}, c.explain(err, tag.RegistryStr(), "look up "+ref.String())
	}
	return Location{Ref: ref, URL: "oci://" + tag.Name(), Digest: desc.Digest.String()}, nil
}

// locateOCI reads the manifest, which names the archive's digest.
func (c *Client) locateOCI(ctx context.Context, ref ChartRef) (Location, error) {
	tag, err := c.chartTag(ref)
	if err != nil {
		return Location{}, err
	}
	desc, err := remote.Get(tag, c.requests(ctx)...)
	if err != nil {
		return Location{}, c.explain(err, tag.RegistryStr(), "look up "+ref.String())
	}
	layer, err := chartLayer(desc.Manifest)
	if err != nil {
		return Location{}, fault.Refused("NotAChart", fmt.Errorf("%s: %w", ref, err), "The tag may hold an image: charts and images need different repositories.")
	}
	return Location{
		Ref: ref, URL: "oci://" + tag.Name(), Digest: desc.Digest.String(), Content: layer.Digest.String(),
	}, nil
}

func chartLayer(manifest []byte) (v1.Descriptor, error) {
	var m v1.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return v1.Descriptor{}, fmt.Errorf("read the manifest: %w", err)
	}
	for _, layer := range m.Layers {
		if layer.MediaType == chartLayerType || layer.MediaType == legacyLayerType {
			return layer, nil
		}
	}
	return v1.Descriptor{}, fmt.Errorf("the manifest holds no Helm chart, its config is %s", m.Config.MediaType)
}

// downloadOCI fetches the archive's blob.
func (c *Client) downloadOCI(ctx context.Context, at Location) (content []byte, err error) {
	tag, err := c.chartTag(at.Ref)
	if err != nil {
		return nil, err
	}
	err = c.again(ctx, at.Ref.String(), func(ctx context.Context) error {
		content, err = c.blob(ctx, tag, at)
		return err
	})
	return content, err
}

// blob reads the archive; the library checks its digest.
func (c *Client) blob(ctx context.Context, tag name.Tag, at Location) ([]byte, error) {
	layer, err := remote.Layer(tag.Context().Digest(at.Content), c.requests(ctx)...)
	if err != nil {
		return nil, err
	}
	body, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content, err := readArchive(body)
	if err != nil && len(content) > 0 && ctx.Err() == nil && !broken(err) {
		// The library's reader has no exported error for a wrong digest; what
		// was read to its end and is no failure of the network is one.
		return nil, fault.Refused("DigestMismatch", err, mismatchHint)
	}
	return content, err
}

// readArchive reads a whole archive of at most MaxArchive bytes.
func readArchive(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, MaxArchive+1))
	if err == nil && len(content) > MaxArchive {
		err = fault.Refused("ArchiveTooLarge", fmt.Errorf("the archive is larger than %d bytes", MaxArchive), "")
	}
	return content, err
}
