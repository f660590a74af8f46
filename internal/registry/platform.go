package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// maxUnnamed bounds how many entries of an index are read to learn what they are.
const maxUnnamed = 16

func parsePlatform(text string) (v1.Platform, error) {
	if text == "" {
		text = "linux/amd64"
	}
	platform, err := v1.ParsePlatform(text)
	if err != nil || platform.OS == "" || platform.Architecture == "" {
		return v1.Platform{}, fault.Usage("PlatformInvalid", fmt.Errorf("%q is no platform", text), "Example: linux/arm64")
	}
	return *platform, nil
}

// imageFor is the image for the wanted platform, and the platform that it says
// it is for: that of its entry in the index, or of its own config.
func imageFor(desc *remote.Descriptor, wanted v1.Platform) (v1.Image, v1.Platform, error) {
	switch mediaType := mediaTypeOf(desc); {
	case mediaType.IsIndex():
		index, err := desc.ImageIndex()
		if err != nil {
			return nil, v1.Platform{}, err
		}
		return fromIndex(index, wanted)
	case mediaType.IsImage():
		image, err := desc.Image()
		if err != nil {
			return nil, v1.Platform{}, err
		}
		return alone(image, wanted)
	default:
		return nil, v1.Platform{}, noImage("it is of type %q", mediaType)
	}
}

// mediaTypeOf believes the manifest where the server's header says nothing useful.
func mediaTypeOf(desc *remote.Descriptor) types.MediaType {
	var stated struct {
		MediaType types.MediaType `json:"mediaType"`
	}
	if desc.MediaType.IsImage() || desc.MediaType.IsIndex() || json.Unmarshal(desc.Manifest, &stated) != nil || stated.MediaType == "" {
		return desc.MediaType
	}
	return stated.MediaType
}

func noImage(format string, args ...any) error {
	return fault.Refused("NotAnImage", fmt.Errorf("this is no container image: "+format, args...),
		"Check the reference: the tag may hold a chart, an attestation, or an image of an old format.")
}

// alone takes a base without an index, which is of one platform only.
func alone(image v1.Image, wanted v1.Platform) (v1.Image, v1.Platform, error) {
	have, err := platformOf(image)
	if err != nil {
		return nil, have, err
	}
	if !same(have, wanted) && !sameButVariant(have, wanted) {
		return nil, have, fault.Refused("PlatformNotFound", fmt.Errorf("it is for %s, not %s", named(have), named(wanted)),
			fmt.Sprintf("Choose another base, or set the parameter platform to %s.", named(have)))
	}
	return image, have, nil
}

// platformOf reads what an image's config says.
func platformOf(image v1.Image) (v1.Platform, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return v1.Platform{}, err
	}
	if kind := manifest.Config.MediaType; !kind.IsConfig() && kind != "" && kind != "application/octet-stream" {
		return v1.Platform{}, noImage("its config is of type %q", kind)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return v1.Platform{}, fmt.Errorf("read its config: %w", err)
	}
	if platform := config.Platform(); platform != nil {
		return *platform, nil
	}
	return v1.Platform{}, nil
}

// offer is an image of an index.
type offer struct {
	v1.Descriptor
	platform v1.Platform
}

// fromIndex takes the entry for the wanted platform, and checks that its config
// agrees: an index can be wrong.
func fromIndex(index v1.ImageIndex, wanted v1.Platform) (v1.Image, v1.Platform, error) {
	offers, err := offersOf(index)
	if err != nil {
		return nil, v1.Platform{}, err
	}
	chosen, err := choose(offers, wanted)
	if err != nil {
		return nil, v1.Platform{}, err
	}
	if chosen.MediaType.IsIndex() {
		inner, err := index.ImageIndex(chosen.Digest)
		if err != nil {
			return nil, v1.Platform{}, err
		}
		return fromIndex(inner, wanted)
	}
	image, err := index.Image(chosen.Digest)
	if err != nil {
		return nil, v1.Platform{}, err
	}
	have, err := platformOf(image)
	if err == nil && (have.OS != chosen.platform.OS || have.Architecture != chosen.platform.Architecture) {
		err = fault.Refused("PlatformNotFound", fmt.Errorf("its index lists %s for %s, but that image is for %s", chosen.Digest, named(chosen.platform), named(have)),
			"Choose another base: this one was published wrongly.")
	}
	return image, chosen.platform, err
}

// offersOf lists the images of an index. Attestations, which builders add for a
// platform called unknown, are none.
func offersOf(index v1.ImageIndex) ([]offer, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var offers []offer
	unnamed := 0
	for _, entry := range manifest.Manifests {
		if !entry.MediaType.IsImage() && !entry.MediaType.IsIndex() || entry.Annotations["vnd.docker.reference.type"] != "" {
			continue
		}
		if entry.Platform != nil {
			offers = append(offers, offer{entry, *entry.Platform})
			continue
		}
		if unnamed++; entry.MediaType.IsIndex() || unnamed > maxUnnamed {
			continue
		}
		platform, err := askEntry(index, entry)
		if err != nil {
			return nil, err
		}
		offers = append(offers, offer{entry, platform})
	}
	return slices.DeleteFunc(offers, func(o offer) bool { return o.platform.OS == "" || o.platform.OS == "unknown" }), nil
}

// askEntry reads the platform of an entry that does not name it; none for what
// is no image.
func askEntry(index v1.ImageIndex, entry v1.Descriptor) (v1.Platform, error) {
	image, err := index.Image(entry.Digest)
	if err != nil {
		return v1.Platform{}, err
	}
	platform, err := platformOf(image)
	if fault.Of(err).Reason == "NotAnImage" {
		return v1.Platform{}, nil
	}
	return platform, err
}

// choose prefers the wanted variant. Where none is wanted, and there is only
// one, which is not the usual one, that is taken.
func choose(offers []offer, wanted v1.Platform) (offer, error) {
	var near []offer
	for _, o := range offers {
		if same(o.platform, wanted) {
			return o, nil
		}
		if sameButVariant(o.platform, wanted) {
			near = append(near, o)
		}
	}
	if len(near) == 1 {
		return near[0], nil
	}
	if len(offers) == 0 {
		return offer{}, fault.Refused("PlatformNotFound", errors.New("its index lists no image"), "Choose another base.")
	}
	return offer{}, fault.Refused("PlatformNotFound", fmt.Errorf("it is not published for %s, only for %s", named(wanted), list(offers)),
		"Choose another base, or set the parameter platform to one that it is published for.")
}

func list(offers []offer) string {
	var names []string
	for _, o := range offers {
		if name := named(o.platform); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func named(p v1.Platform) string {
	if p.OS == "" && p.Architecture == "" {
		return "a platform that it does not name"
	}
	return p.String()
}

// same compares platforms. A version of the operating system counts where one is wanted.
func same(have, wanted v1.Platform) bool {
	return have.OS == wanted.OS && have.Architecture == wanted.Architecture && variant(have) == variant(wanted) &&
		(wanted.OSVersion == "" || have.OSVersion == wanted.OSVersion)
}

// sameButVariant compares platforms where no variant is wanted.
func sameButVariant(have, wanted v1.Platform) bool {
	have.Variant = ""
	return wanted.Variant == "" && same(have, wanted)
}

// variant fills in the usual one, which many images leave out, as containerd does.
func variant(p v1.Platform) string {
	switch p.Architecture + "/" + p.Variant {
	case "arm64/":
		return "v8"
	case "arm/":
		return "v7"
	case "amd64/v1":
		return ""
	}
	return p.Variant
}
