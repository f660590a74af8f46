package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

// of makes an empty image that says it is for a platform; "" for none.
func of(t *testing.T, platform string) v1.Image {
	t.Helper()
	config := &v1.ConfigFile{RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}}}
	if platform != "" {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			t.Fatal(err)
		}
		config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	}
	image, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), config)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// indexOf lists images: "platform" as it should be, "listed=own" where the index
// and the image disagree, "=own" without a platform in the index, and "attestation".
func indexOf(t *testing.T, entries ...string) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, entry := range entries {
		listed, own, differs := strings.Cut(entry, "=")
		if !differs {
			own = listed
		}
		var about v1.Descriptor
		switch {
		case entry == "attestation":
			own = "unknown/unknown"
			about.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
			about.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		case listed != "":
			p, err := v1.ParsePlatform(listed)
			if err != nil {
				t.Fatal(err)
			}
			about.Platform = p
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: of(t, own), Descriptor: about})
	}
	return index
}

// build puts one file onto a base of the registry.
func build(t *testing.T, base, platform string) (*registry.Image, error) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "app"), []byte("app"), 0o600); err != nil {
		t.Fatal(err)
	}
	image, err := client(t, registry.Access{}).BuildImage(context.Background(), registry.ImageOptions{
		Base: base, Platform: platform, Folder: folder, Files: []string{"app:/app"},
	})
	if err == nil {
		t.Cleanup(func() { _ = image.Close() })
	}
	return image, err
}

func TestABaseForSeveralPlatforms(t *testing.T) {
	oci := registrytest.New(t)
	for name, c := range map[string]struct {
		entries []string
		wanted  string
		got     string // "" is refused
		words   []string
	}{
		"the usual one":                   {[]string{"attestation", "linux/arm64/v8", "linux/amd64"}, "", "linux/amd64", nil},
		"without its variant":             {[]string{"attestation", "linux/arm64/v8", "linux/amd64"}, "linux/arm64", "linux/arm64/v8", nil},
		"with a variant that is not told": {[]string{"linux/amd64", "linux/arm64"}, "linux/arm64/v8", "linux/arm64", nil},
		"a variant":                       {[]string{"linux/arm/v6", "linux/arm/v7"}, "linux/arm/v7", "linux/arm/v7", nil},
		"the usual variant":               {[]string{"linux/arm/v6", "linux/arm/v7"}, "linux/arm", "linux/arm/v7", nil},
		"the only variant":                {[]string{"linux/arm/v6", "linux/amd64"}, "linux/arm", "linux/arm/v6", nil},
		"one of several unusual variants": {[]string{"linux/arm/v5", "linux/arm/v6"}, "linux/arm", "", []string{"linux/arm/v5, linux/arm/v6"}},
		"another variant":                 {[]string{"linux/arm/v7"}, "linux/arm/v6", "", []string{"linux/arm/v6", "linux/arm/v7"}},
		"absent":                          {[]string{"attestation", "linux/arm64/v8", "linux/amd64"}, "linux/s390x", "", []string{"linux/s390x", "linux/arm64/v8, linux/amd64"}},
		"entries that name none":          {[]string{"=linux/arm64", "=linux/amd64"}, "linux/amd64", "linux/amd64", nil},
		"entries that name none, absent":  {[]string{"=linux/arm64"}, "linux/amd64", "", []string{"linux/amd64", "linux/arm64"}},
		"an index that is wrong":          {[]string{"linux/amd64=linux/arm64"}, "linux/amd64", "", []string{"linux/amd64", "linux/arm64"}},
		"attestations alone":              {[]string{"attestation"}, "linux/amd64", "", []string{"no image"}},
	} {
		t.Run(name, func(t *testing.T) {
			ref := reference(t, oci.Host()+"/base:1")
			if err := remote.WriteIndex(ref, indexOf(t, c.entries...)); err != nil {
				t.Fatal(err)
			}
			image, err := build(t, ref.Name(), c.wanted)
			judgePlatform(t, image, err, c.got, c.words)
		})
	}
}

func judgePlatform(t *testing.T, image *registry.Image, err error, want string, words []string) {
	t.Helper()
	if want != "" {
		if err != nil || image.Platform != want {
			t.Errorf("got %+v, %v", image, err)
		}
		return
	}
	if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "PlatformNotFound" {
		t.Fatalf("reason %q: %v", f.Reason, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestABaseForOnePlatform(t *testing.T) {
	oci := registrytest.New(t)
	for _, c := range []struct{ own, wanted, got string }{
		{"linux/amd64", "", "linux/amd64"},
		{"linux/arm64", "linux/amd64", ""},
		{"linux/arm64", "linux/arm64/v8", "linux/arm64"},
		{"linux/arm/v6", "linux/arm/v7", ""},
		{"linux/arm/v6", "linux/arm", "linux/arm/v6"},
		{"windows/amd64", "linux/amd64", ""},
		{"", "linux/amd64", ""},
	} {
		t.Run(c.own+" for "+c.wanted, func(t *testing.T) {
			ref := reference(t, oci.Host()+"/base:1")
			if err := remote.Write(ref, of(t, c.own)); err != nil {
				t.Fatal(err)
			}
			image, err := build(t, ref.Name(), c.wanted)
			judgePlatform(t, image, err, c.got, []string{c.wanted})
		})
	}
}

// TestWhatIsNoBase: a chart and an attestation are in registries as well.
func TestWhatIsNoBase(t *testing.T) {
	oci := registrytest.New(t)
	pushed, err := client(t, registry.Access{}).PushChart(context.Background(), "oci://"+oci.Host()+"/charts", archive(t, "a", "1.0.0", ""))
	if err != nil {
		t.Fatal(err)
	}
	_, err = build(t, strings.TrimPrefix(pushed.URL, "oci://"), "")
	if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "NotAnImage" {
		t.Errorf("a chart as base: %q: %v", f.Reason, err)
	}
	_, err = build(t, oci.Host()+"/base:none", "")
	if f := fault.Of(err); f.Reason != "ImageNotFound" || !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("no base: %q: %v", f.Reason, err)
	}
}

func reference(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
