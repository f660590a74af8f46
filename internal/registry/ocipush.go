package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// pushOCI publishes an archive the way Helm does. The manifest holds nothing
// but the archive, so that the same archive gives the same digest anywhere.
func (c *Client) pushOCI(ctx context.Context, a Archive, ref ChartRef) (Pushed, error) {
	tag, err := c.chartTag(ref)
	if err != nil {
		return Pushed{}, err
	}
	image, err := newChartArtifact(a)
	if err != nil {
		return Pushed{}, fmt.Errorf("publish %s: %w", ref, err)
	}
	if err := remote.Write(tag, image, c.requests(ctx)...); err != nil {
		return Pushed{}, c.explain(err, tag.RegistryStr(), "publish "+ref.String())
	}
	digest, err := image.Digest()
	if err != nil {
		return Pushed{}, err
	}
	return Pushed{Location: Location{
		Ref: ref, URL: "oci://" + tag.Name(), Digest: digest.String(), Content: Digest(a.Content),
	}}, nil
}

// chartArtifact is the core of an OCI artifact with one layer: the archive.
type chartArtifact struct {
	manifest, config []byte
	layer            v1.Layer
}

func newChartArtifact(a Archive) (v1.Image, error) {
	layer := static.NewLayer(a.Content, chartLayerType)
	content, err := partial.Descriptor(layer)
	if err != nil {
		return nil, err
	}
	config, size, err := v1.SHA256(bytes.NewReader(a.Metadata))
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        v1.Descriptor{MediaType: chartConfigType, Digest: config, Size: size},
		Layers:        []v1.Descriptor{*content},
		Annotations:   a.annotations(),
	})
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(&chartArtifact{manifest: manifest, config: a.Metadata, layer: layer})
}

// annotations are those of the OCI image specification that Helm sets as well.
func (a Archive) annotations() map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":   a.Name,
		"org.opencontainers.image.version": a.Version,
	}
	if a.Description != "" {
		all["org.opencontainers.image.description"] = a.Description
	}
	if !a.Created.IsZero() {
		all["org.opencontainers.image.created"] = a.Created.UTC().Format(time.RFC3339)
	}
	return all
}

func (c *chartArtifact) RawConfigFile() ([]byte, error)      { return c.config, nil }
func (c *chartArtifact) RawManifest() ([]byte, error)        { return c.manifest, nil }
func (c *chartArtifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func (c *chartArtifact) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if digest, err := c.layer.Digest(); err != nil || digest != h {
		return nil, fmt.Errorf("the artifact has no layer %s", h)
	}
	return c.layer, nil
}
