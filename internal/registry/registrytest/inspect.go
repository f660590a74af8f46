package registrytest

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Describe says what an image holds: its config as JSON, and the entries of its
// last layer, each with mode, owner, time in seconds since 1970, name and link.
func Describe(reference string) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", err
	}
	image, err := remote.Image(ref)
	if err != nil {
		return "", err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	layers, err := image.Layers()
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	entries, err := listing(layers[len(layers)-1])
	return fmt.Sprintf("%s\n%s\n%d layers\n%s", digest, text, len(layers), entries), err
}

func listing(layer v1.Layer) (string, error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return "", err
	}
	defer content.Close()
	var lines strings.Builder
	for archive := tar.NewReader(content); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return lines.String(), nil
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&lines, "%c %o %d:%d %d %s %s\n", h.Typeflag, h.Mode, h.Uid, h.Gid, h.ModTime.Unix(), h.Name, h.Linkname)
	}
}

// PushBase pushes an image of one random layer for linux/amd64 that runs as the
// given user, and returns its reference by digest.
func PushBase(reference, user string) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", err
	}
	layer, err := random.Layer(1024, "application/vnd.docker.image.rootfs.diff.tar.gzip")
	if err != nil {
		return "", err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return "", err
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers", DiffIDs: diffIDs(layer)},
		Config: v1.Config{User: user, Env: []string{"PATH=/bin", "HOME=/"}, Cmd: []string{"sh"}},
	})
	if err != nil {
		return "", err
	}
	if err := remote.Write(ref, image); err != nil {
		return "", err
	}
	digest, err := image.Digest()
	return ref.Context().Digest(digest.String()).Name(), err
}

func diffIDs(layer v1.Layer) []v1.Hash {
	id, err := layer.DiffID()
	if err != nil {
		return nil
	}
	return []v1.Hash{id}
}

// Archive makes a gzipped tar of the entries, for hostile chart archives: a
// header without content size gets that of its content.
func Archive(entries []tar.Header, contents []string) ([]byte, error) {
	var out strings.Builder
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for i := range entries {
		h := entries[i]
		h.Size = int64(len(contents[i]))
		if err := archive.WriteHeader(&h); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(archive, contents[i]); err != nil {
			return nil, err
		}
	}
	err := errors.Join(archive.Close(), zip.Close())
	return []byte(out.String()), err
}
