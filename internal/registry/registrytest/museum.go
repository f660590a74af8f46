package registrytest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"sort"
	"strings"
	"sync"

	"sigs.k8s.io/yaml"
)

// museum is ChartMuseum's API as far as publishing and reading go: it stores
// archives and writes its index from what is inside them.
type museum struct {
	mu     sync.Mutex
	charts map[string]stored // by file name
}

type stored struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Digest  string   `json:"digest,omitempty"`
	URLs    []string `json:"urls"`
	content []byte
}

// Museum answers POST /api/charts (and Gitea's …/helm/api/charts), GET
// …/index.yaml and GET …/<file>. As in Gitea, an index below /api/packages/ names
// no digests.
func Museum() http.Handler { return &museum{charts: map[string]stored{}} }

func (m *museum) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/charts"):
		m.upload(w, r)
	case strings.HasSuffix(r.URL.Path, "/index.yaml"):
		m.index(w, !strings.HasPrefix(r.URL.Path, "/api/packages/"))
	case strings.HasSuffix(r.URL.Path, ".tgz"):
		if chart, ok := m.charts[path.Base(r.URL.Path)]; ok {
			_, _ = w.Write(chart.content)
			return
		}
		http.NotFound(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (m *museum) upload(w http.ResponseWriter, r *http.Request) {
	part, _, err := r.FormFile("chart")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	content, err := io.ReadAll(part)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	chart, err := describe(content)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	file := path.Base(chart.URLs[0])
	if _, exists := m.charts[file]; exists {
		http.Error(w, `{"error":"file already exists"}`, http.StatusConflict)
		return
	}
	m.charts[file] = chart
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `{"saved":true}`)
}

func (m *museum) index(w http.ResponseWriter, digests bool) {
	entries := map[string][]stored{}
	for _, chart := range m.charts {
		if !digests {
			chart.Digest = ""
		}
		entries[chart.Name] = append(entries[chart.Name], chart)
	}
	for _, versions := range entries {
		sort.Slice(versions, func(i, j int) bool { return versions[i].Version > versions[j].Version })
	}
	index, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "entries": entries, "generated": "2024-01-01T00:00:00Z"})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(index)
}

// describe reads name and version from the archive's Chart.yaml.
func describe(content []byte) (stored, error) {
	zip, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return stored{}, err
	}
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if err != nil {
			return stored{}, errors.Join(errors.New("no Chart.yaml in the archive"), err)
		}
		if strings.Count(header.Name, "/") != 1 || path.Base(header.Name) != "Chart.yaml" {
			continue
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return stored{}, err
		}
		chart := stored{content: content, Digest: fmt.Sprintf("%x", sha256.Sum256(content))}
		if err := yaml.Unmarshal(text, &chart); err != nil {
			return stored{}, err
		}
		chart.URLs = []string{"charts/" + chart.Name + "-" + chart.Version + ".tgz"}
		return chart, nil
	}
}
