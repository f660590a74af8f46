package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/server"
)

// start serves a folder until stop is called.
func start(t *testing.T, dir string) (host string, stop func()) {
	t.Helper()
	s, err := server.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	stop = sync.OnceFunc(func() {
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return strings.TrimPrefix(h.URL, "http://"), stop
}

func reference(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestImagesAndChartsOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	host, stop := start(t, dir)
	image, err := random.Image(300_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	index, err := random.Index(1000, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(t, host+"/acme/user-service:1.0.0"), image); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(reference(t, host+"/acme/many:1"), index); err != nil {
		t.Fatal(err)
	}
	chart := registry.Archive{Name: "user-service", Version: "2.3.118", Content: []byte("not looked into")}
	pushed := pushChart(t, host, chart)
	stop()

	host, _ = start(t, dir)
	got, err := remote.Image(reference(t, host+"/acme/user-service:1.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Errorf("the image is damaged: %v", err)
	}
	gotIndex, err := remote.Index(reference(t, host+"/acme/many:1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(gotIndex); err != nil {
		t.Errorf("the index is damaged: %v", err)
	}
	c, err := registry.New(registry.Access{})
	if err != nil {
		t.Fatal(err)
	}
	at, err := c.LocateCharts(t.Context(), registry.ChartRef{Repository: "oci://" + host + "/charts", Name: chart.Name, Version: chart.Version})
	if err != nil || at[0].Digest != pushed {
		t.Fatalf("got %+v, %v; pushed %s", at, err, pushed)
	}
	if content, err := c.DownloadChart(t.Context(), at[0]); err != nil || !bytes.Equal(content, chart.Content) {
		t.Errorf("got %q, %v", content, err)
	}
}

func pushChart(t *testing.T, host string, a registry.Archive) string {
	t.Helper()
	c, err := registry.New(registry.Access{})
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := c.PushChart(t.Context(), "oci://"+host+"/charts", a)
	if err != nil {
		t.Fatal(err)
	}
	return pushed.Digest
}

func TestManyPushAtOnce(t *testing.T) {
	host, _ := start(t, t.TempDir())
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			image, err := random.Image(50_000, 2)
			if err == nil {
				err = remote.Write(reference(t, fmt.Sprintf("%s/acme/app:%d", host, i)), image)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	tags, err := remote.List(reference(t, host+"/acme/app").Context())
	if err != nil || len(tags) != 8 {
		t.Errorf("got %v, %v", tags, err)
	}
}

func TestDeletedManifestsStayDeleted(t *testing.T) {
	dir := t.TempDir()
	host, stop := start(t, dir)
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag := reference(t, host+"/acme/app:1")
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(tag); err != nil {
		t.Fatal(err)
	}
	stop()
	host, _ = start(t, dir)
	if _, err := remote.Head(reference(t, host+"/acme/app:1")); err == nil {
		t.Error("the tag came back")
	}
}

func send(t *testing.T, method, url, body string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func TestUploadsInPieces(t *testing.T) {
	dir := t.TempDir()
	host, _ := start(t, dir)
	base := "http://" + host
	begun := send(t, "POST", base+"/v2/a/blobs/uploads/", "")
	at := base + begun.Header.Get("Location")
	digest := registry.Digest([]byte("hello world"))
	for _, c := range []struct {
		method, url, body, from string
		want                    int
	}{
		{"PATCH", at, "hello ", "0-5", http.StatusAccepted},
		{"PATCH", at, "world", "3-7", http.StatusRequestedRangeNotSatisfiable},
		{"GET", at, "", "", http.StatusNoContent},
		{"PUT", at + "?digest=" + digest, "world", "", http.StatusCreated},
		{"PUT", at + "?digest=" + digest, "world", "", http.StatusNotFound},
		{"HEAD", base + "/v2/a/blobs/" + digest, "", "", http.StatusOK},
		{"POST", base + "/v2/a/blobs/uploads/?digest=" + digest, "something else", "", http.StatusBadRequest},
	} {
		resp := send(t, c.method, c.url, c.body, "Content-Range", c.from)
		if resp.StatusCode != c.want {
			t.Errorf("%s %s: got %s, want %d", c.method, strings.TrimPrefix(c.url, base), resp.Status, c.want)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "uploads"))
	if err != nil || len(left) != 0 {
		t.Errorf("uploads left behind: %v, %v", left, err)
	}
}

func TestNamesStayInTheFolder(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "registry")
	host, _ := start(t, inside)
	for _, path := range []string{
		"/v2/../manifests/x", "/v2/a/../../manifests/x", "/v2/a%2f..%2f..%2f..%2fb/manifests/x", "/v2/a/manifests/..", "/v2/A/manifests/x",
		"/v2/a/manifests/sha256:short", "/v2/a/blobs/uploads/..%2f..%2fx",
	} {
		if resp := send(t, "PUT", "http://"+host+path, "{}"); resp.StatusCode < 400 {
			t.Errorf("PUT %s: %s", path, resp.Status)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v", entries, err)
	}
}

func TestManifestsAreBounded(t *testing.T) {
	host, _ := start(t, t.TempDir())
	resp := send(t, "PUT", "http://"+host+"/v2/a/manifests/x", strings.Repeat("x", 5<<20), "Content-Type", string(types.OCIManifestSchema1))
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %s", resp.Status)
	}
}

func TestDamageIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "manifests", "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifests", "a", "1"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Open(dir); err == nil || !strings.Contains(err.Error(), "manifests/a/1") {
		t.Errorf("got %v", err)
	}
}
