package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Scratch is the base that holds nothing.
const Scratch = "scratch"

// nonroot is who runs an image whose base would run as root.
const nonroot = "65532:65532"

// ImageOptions describe an image: a base and files on top of it.
type ImageOptions struct {
	Base       string // reference, best by digest; or Scratch
	Platform   string // os/architecture[/variant]; "" is linux/amd64
	Folder     string // where the sources of Files lie
	Files      []string
	Entrypoint []string // "" keeps the base's
	Env        []string // NAME=value, added to the base's
	WorkingDir string   // "" keeps the base's
	User       string   // "" keeps the base's unless that is root: then 65532:65532
	Labels     map[string]string
	Created    time.Time // of the image and every file in it; zero is 1970-01-01
}

// userForm is uid or uid:gid.
var userForm = regexp.MustCompile(`^\d+(:\d+)?$`)

// Image is a built image that was not pushed yet. Close removes its layer from
// the temporary folder.
type Image struct {
	Base     string // the base by digest, or Scratch
	Platform string // os/architecture[/variant] that the base is for
	Digest   string // sha256:… of the manifest
	image    v1.Image
	layer    string
}

// Close removes the image's temporary file.
func (i *Image) Close() error { return os.Remove(i.layer) }

// BuildImage puts files onto a base without a daemon and without privileges.
// The same options and files give the same digest: times, owners, modes and
// the order of files are fixed.
func (c *Client) BuildImage(ctx context.Context, o ImageOptions) (*Image, error) {
	if o.User != "" && !userForm.MatchString(o.User) {
		return nil, fault.Usage("UserInvalid", fmt.Errorf("user %q is not made of numbers", o.User),
			"Example: 65532:65532. Kubernetes cannot tell whether a name is root.")
	}
	files, err := collect(o.Folder, o.Files)
	if err != nil {
		return nil, err
	}
	base, err := c.base(ctx, o)
	if err != nil {
		return nil, err
	}
	layer, err := writeLayer(ctx, o.Folder, files, o.created())
	if err != nil {
		return nil, fmt.Errorf("write the layer: %w", err)
	}
	built := &Image{Base: base.reference, Platform: base.platform.String(), layer: layer}
	if err := built.assemble(base, o); err != nil {
		_ = built.Close()
		return nil, c.explain(err, base.host, "build the image on "+base.reference)
	}
	return built, nil
}

func (o ImageOptions) created() time.Time {
	if o.Created.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return o.Created.UTC().Truncate(time.Second)
}

// base fetches the base image for the platform and names it by its digest, so
// that a tag that moves is at least visible in the log.
func (c *Client) base(ctx context.Context, o ImageOptions) (base, error) {
	wanted, err := parsePlatform(o.Platform)
	if err != nil {
		return base{}, err
	}
	if o.Base == Scratch {
		image, err := onScratch(wanted)
		return base{image, Scratch, "", wanted}, err
	}
	ref, err := c.reference(o.Base)
	if err != nil {
		return base{}, err
	}
	host := ref.Context().RegistryStr()
	desc, err := remote.Get(ref, c.requests(ctx)...)
	if err := c.explain(err, host, "look up the base image "+strip(o.Base)); err != nil {
		if errors.Is(err, ErrNotFound) {
			err = fault.Refused("ImageNotFound", err, "Check the name, and the tag or digest.")
		}
		return base{}, err
	}
	image, have, err := imageFor(desc, wanted)
	if err != nil {
		return base{}, c.explain(err, host, fmt.Sprintf("read the base image %s", strip(o.Base)))
	}
	return base{image, ref.Context().Digest(desc.Digest.String()).Name(), host, have}, nil
}

// base is what an image is built on.
type base struct {
	v1.Image
	reference string // by digest, or Scratch
	host      string // of its registry
	platform  v1.Platform
}

func onScratch(platform v1.Platform) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	return mutate.ConfigFile(image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
	})
}

func (c *Client) reference(text string) (name.Reference, error) {
	var options []name.Option
	if host, _, _ := strings.Cut(text, "/"); c.insecure.plain(host) {
		options = append(options, name.Insecure)
	}
	ref, err := name.ParseReference(text, options...)
	if err != nil {
		return nil, fault.Usage("ImageInvalid", fmt.Errorf("image %q: %w", strip(text), err), "Example: registry.example.com/base/static@sha256:…")
	}
	return ref, nil
}

// assemble adds the layer and the config to the base.
func (i *Image) assemble(base v1.Image, o ImageOptions) error {
	layer, err := layerFor(base, i.layer)
	if err != nil {
		return err
	}
	created := v1.Time{Time: o.created()}
	image, err := mutate.Append(base, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: created, CreatedBy: "lockstep package-image"},
	})
	if err != nil {
		return err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return err
	}
	file = file.DeepCopy()
	file.Created = created
	configure(&file.Config, o)
	if i.image, err = mutate.ConfigFile(image, file); err != nil {
		return err
	}
	digest, err := i.image.Digest()
	i.Digest = digest.String()
	return err
}

// layerFor gives the layer the media type of the base's family: registries
// refuse manifests that mix Docker's and OCI's.
func layerFor(base v1.Image, path string) (v1.Layer, error) {
	family, err := base.MediaType()
	if err != nil {
		return nil, err
	}
	mediaType := types.OCILayer
	if family == types.DockerManifestSchema2 {
		mediaType = types.DockerLayer
	}
	return tarball.LayerFromFile(path, tarball.WithMediaType(mediaType))
}

func configure(config *v1.Config, o ImageOptions) {
	if len(o.Entrypoint) > 0 {
		config.Entrypoint, config.Cmd = o.Entrypoint, nil
	}
	config.Env = mergeEnv(config.Env, o.Env)
	if o.WorkingDir != "" {
		config.WorkingDir = o.WorkingDir
	}
	switch {
	case o.User != "":
		config.User = o.User
	case isRoot(config.User):
		config.User = nonroot
	}
	for key, value := range o.Labels {
		if config.Labels == nil {
			config.Labels = map[string]string{}
		}
		config.Labels[key] = value
	}
}

// isRoot holds for every way to write uid 0; a name other than root is believed.
func isRoot(user string) bool {
	uid, _, _ := strings.Cut(user, ":")
	return uid == "" || uid == "root" || strings.Trim(uid, "0") == ""
}

// mergeEnv lets later settings of a name replace earlier ones in their place.
func mergeEnv(base, added []string) []string {
	merged := slices.Clone(base)
	for _, setting := range added {
		key, _, _ := strings.Cut(setting, "=")
		at := slices.IndexFunc(merged, func(s string) bool { return strings.HasPrefix(s, key+"=") })
		if at < 0 {
			merged = append(merged, setting)
			continue
		}
		merged[at] = setting
	}
	return merged
}

// PushImage pushes an image and lets the tags name it. A tag that named another
// image before names this one now; pushing again changes nothing. The result is
// the image's reference by its first tag.
func (c *Client) PushImage(ctx context.Context, i *Image, repository string, tags []string) (string, error) {
	repo, err := c.repository(repository)
	if err != nil {
		return "", err
	}
	var refs []name.Tag
	for _, tag := range tags {
		ref, err := name.NewTag(repo.Name()+":"+tag, insecureOption(repo))
		if err != nil {
			return "", fault.Usage("TagInvalid", fmt.Errorf("tag %q: %w", tag, err), "A tag has letters, digits, dots, dashes and underscores, at most 128.")
		}
		refs = append(refs, ref)
	}
	if len(refs) == 0 {
		return "", fault.Usage("TagInvalid", fmt.Errorf("an image needs at least one tag"), "Example: 2.3.119")
	}
	for n, ref := range refs {
		what := fmt.Sprintf("push %s@%s", ref.Name(), i.Digest)
		write := remote.Write
		if n > 0 {
			write = tagAs
		}
		err = c.again(ctx, repo.RegistryStr(), func(ctx context.Context) error { return write(ref, i.image, c.requests(ctx)...) })
		if err != nil {
			return "", c.explain(err, repo.RegistryStr(), what)
		}
	}
	return refs[0].Name(), nil
}

// tagAs lets a tag name an image that is there.
func tagAs(ref name.Reference, image v1.Image, options ...remote.Option) error {
	tag, ok := ref.(name.Tag)
	if !ok {
		return fmt.Errorf("%s is no tag", ref)
	}
	return remote.Tag(tag, image, options...)
}
