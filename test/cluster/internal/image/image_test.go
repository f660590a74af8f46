package image

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// store is as much of a registry as a push needs. It refuses a blob that is not what its digest says.
type store struct {
	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string][]byte
	writes    int
}

func newStore(t *testing.T) (*store, Registry) {
	t.Helper()
	s := &store{blobs: map[string][]byte{}, manifests: map[string][]byte{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/{name}/blobs/uploads/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/upload/"+r.PathValue("name")+"?state=1")
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("PUT /upload/{name}", s.putBlob)
	mux.HandleFunc("PUT /v2/{name}/manifests/{reference}", s.putManifest)
	mux.HandleFunc("HEAD /v2/{name}/manifests/{reference}", s.headManifest)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return s, Registry{Host: strings.TrimPrefix(server.URL, "http://")}
}

func (s *store) putBlob(w http.ResponseWriter, r *http.Request) {
	content, _ := io.ReadAll(r.Body)
	digest := r.URL.Query().Get("digest")
	if digestOf(content) != digest || r.URL.Query().Get("state") != "1" {
		http.Error(w, "digest or state is wrong", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	s.blobs[digest] = content
	w.WriteHeader(http.StatusCreated)
}

func (s *store) putManifest(w http.ResponseWriter, r *http.Request) {
	content, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	s.manifests[r.PathValue("reference")] = content
	s.manifests[digestOf(content)] = content
	w.WriteHeader(http.StatusCreated)
}

func (s *store) headManifest(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.manifests[r.PathValue("reference")]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Docker-Content-Digest", digestOf(content))
}

func greeting(t *testing.T, text string) Image {
	t.Helper()
	layer, err := Small(func(a *Archive) error {
		if err := a.DirOf("home", 0o755, 65532); err != nil {
			return err
		}
		if err := a.File("hello", 0o755, []byte(text)); err != nil {
			return err
		}
		return a.Link("hi", "hello")
	})
	if err != nil {
		t.Fatal(err)
	}
	return Image{Name: "greeting", Layers: []Layer{layer}, Config: Config{User: "65532:65532"}}
}

func TestPushedImageIsWhole(t *testing.T) {
	s, registry := newStore(t)
	reference, err := registry.Ensure(t.Context(), greeting(t, "hello"), func() {})
	if err != nil {
		t.Fatal(err)
	}
	_, digest, _ := strings.Cut(reference, "@")
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	if err := json.Unmarshal(s.manifests[digest], &manifest); err != nil {
		t.Fatal(err)
	}
	var config struct {
		Config Config
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(s.blobs[manifest.Config.Digest], &config); err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" {
		t.Errorf("user %q", config.Config.User)
	}
	files, plain := unpack(t, s.blobs[manifest.Layers[0].Digest])
	if plain != config.RootFS.DiffIDs[0] {
		t.Errorf("the layer is %s, the configuration says %s", plain, config.RootFS.DiffIDs[0])
	}
	if want := "home/ 755 65532; hello 755 0; hi 777 0; "; files != want {
		t.Errorf("the layer has %q, want %q", files, want)
	}
}

func unpack(t *testing.T, layer []byte) (files, digest string) {
	t.Helper()
	zip, err := gzip.NewReader(strings.NewReader(string(layer)))
	if err != nil {
		t.Fatal(err)
	}
	plain := sha256.New()
	in := io.TeeReader(zip, plain)
	for archive := tar.NewReader(in); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files += fmt.Sprintf("%s %o %d; ", header.Name, header.Mode, header.Uid)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Fatal(err)
	}
	return files, "sha256:" + hex.EncodeToString(plain.Sum(nil))
}

func TestSameImageIsNotSentAgain(t *testing.T) {
	s, registry := newStore(t)
	first, err := registry.Ensure(t.Context(), greeting(t, "hello"), func() {})
	if err != nil {
		t.Fatal(err)
	}
	writes := s.writes
	again, err := registry.Ensure(t.Context(), greeting(t, "hello"), func() { t.Error("it is made again") })
	if err != nil || again != first || s.writes != writes {
		t.Errorf("%d more writes, %s instead of %s, %v", s.writes-writes, again, first, err)
	}
	other, err := registry.Ensure(t.Context(), greeting(t, "good evening"), func() {})
	if err != nil || other == first {
		t.Errorf("another content has the same reference %s, %v", other, err)
	}
}

func TestRefusalIsReported(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		http.Error(w, "no space left on device", http.StatusInternalServerError)
	}))
	defer server.Close()
	registry := Registry{Host: strings.TrimPrefix(server.URL, "http://")}
	_, err := registry.Ensure(t.Context(), greeting(t, "hello"), func() {})
	if err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), "greeting") {
		t.Errorf("got %v", err)
	}
}
