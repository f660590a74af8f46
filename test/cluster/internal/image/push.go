package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// Registry is a registry at host:port that speaks plain HTTP and asks for no password.
type Registry struct{ Host string }

// Ensure pushes the image unless it is there under its tag, and returns its reference by digest. making is called
// before work begins.
func (r Registry) Ensure(ctx context.Context, i Image, making func()) (reference string, err error) {
	tag, err := i.Tag()
	if err != nil {
		return "", err
	}
	digest, err := r.Digest(ctx, i.Name, tag)
	if err == nil && digest == "" {
		making()
		digest, err = r.push(ctx, i, tag)
	}
	if err != nil {
		return "", fmt.Errorf("push image %s: %w", i.Name, err)
	}
	return r.Host + "/" + i.Name + "@" + digest, nil
}

// Digest returns the digest of a tag or a digest, or "" when the registry does not have it.
func (r Registry) Digest(ctx context.Context, name, reference string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, r.url(name, "manifests/"+reference), nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", manifestType)
	response, err := client().Do(request)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return response.Header.Get("Docker-Content-Digest"), nil
	case http.StatusNotFound:
		return "", nil
	default:
		return "", fmt.Errorf("ask for %s:%s: %s", name, reference, response.Status)
	}
}

// Ready is nil when the registry answers.
func (r Registry) Ready(ctx context.Context) error {
	_, err := r.send(ctx, http.MethodGet, "http://"+r.Host+"/v2/", "", 0, nil)
	return err
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

func (r Registry) push(ctx context.Context, i Image, tag string) (string, error) {
	layers, diffIDs := []descriptor{}, []string{}
	for _, l := range i.Layers {
		d, diffID, err := r.pushLayer(ctx, i.Name, l)
		if err != nil {
			return "", err
		}
		layers, diffIDs = append(layers, d), append(diffIDs, diffID)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": i.Config,
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		return "", err
	}
	configDescriptor := descriptor{configType, digestOf(config), int64(len(config))}
	if err := r.pushBlob(ctx, i.Name, configDescriptor, bytes.NewReader(config)); err != nil {
		return "", err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": configDescriptor, "layers": layers,
	})
	if err != nil {
		return "", err
	}
	_, err = r.send(ctx, http.MethodPut, r.url(i.Name, "manifests/"+tag), manifestType, int64(len(manifest)), bytes.NewReader(manifest))
	return digestOf(manifest), err
}

// pushLayer writes the layer to a temporary file first: its digest must be known before it is sent.
func (r Registry) pushLayer(ctx context.Context, name string, l Layer) (descriptor, string, error) {
	file, err := os.CreateTemp("", "layer-*.tar.gz")
	if err != nil {
		return descriptor{}, "", err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	packed, plain := sha256.New(), sha256.New()
	// Fast rather than small: it only travels within this machine.
	zip, err := gzip.NewWriterLevel(io.MultiWriter(file, packed), gzip.BestSpeed)
	if err != nil {
		return descriptor{}, "", err
	}
	if err := writeLayer(io.MultiWriter(zip, plain), l.Write); err != nil {
		return descriptor{}, "", err
	}
	if err := zip.Close(); err != nil {
		return descriptor{}, "", err
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return descriptor{}, "", err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return descriptor{}, "", err
	}
	d := descriptor{layerType, "sha256:" + hex.EncodeToString(packed.Sum(nil)), size}
	return d, "sha256:" + hex.EncodeToString(plain.Sum(nil)), r.pushBlob(ctx, name, d, file)
}

func (r Registry) pushBlob(ctx context.Context, name string, d descriptor, content io.Reader) error {
	location, err := r.send(ctx, http.MethodPost, r.url(name, "blobs/uploads/"), "", 0, nil)
	if err != nil {
		return err
	}
	target, err := url.Parse(location)
	if err != nil {
		return err
	}
	query := target.Query()
	query.Set("digest", d.Digest)
	target.RawQuery = query.Encode()
	_, err = r.send(ctx, http.MethodPut, target.String(), "application/octet-stream", d.Size, content)
	return err
}

// send makes a request and returns the Location of the answer.
func (r Registry) send(ctx context.Context, method, to, contentType string, size int64, body io.Reader) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return "", err
	}
	request.ContentLength = size
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := client().Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return "", fmt.Errorf("%s %s: %s: %s", method, to, response.Status, text)
	}
	location, err := response.Location()
	if err != nil {
		return "", nil // most answers have none
	}
	return location.String(), nil
}

func (r Registry) url(name, rest string) string {
	return "http://" + r.Host + "/v2/" + name + "/" + rest
}

// client ignores the environment's proxies: the registry is on this machine.
func client() *http.Client { return &http.Client{Transport: &http.Transport{}} }

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
