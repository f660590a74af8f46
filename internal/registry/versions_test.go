package registry_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

// TestRow29_TheNewestVersionsAreNamed: a version with a typing mistake is refused at
// once, with the versions that there are.
func TestRow29_TheNewestVersionsAreNamed(t *testing.T) {
	index := "apiVersion: v1\nentries:\n  web:\n"
	for _, v := range []string{"1.0.9", "1.0.10", "0.9.0", "1.0.8", "1.0.7", "1.0.6"} {
		index += "  - apiVersion: v2\n    name: web\n    version: " + v + "\n    urls:\n    - web.tgz\n"
	}
	museum := registrytest.Start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(index)) }))
	t.Cleanup(museum.Close)
	tags := registrytest.Start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v2/":
		case strings.HasSuffix(r.URL.Path, "/charts/web/tags/list"):
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"name":"charts/web","tags":["1.0.9","latest","1.0.10","1.0.8_b","sha256-0a"]}`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(tags.Close)
	client, err := registry.New(registry.Access{})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ref  registry.ChartRef
		want string
	}{
		"HTTP":                {registry.ChartRef{Repository: museum.URL, Name: "web", Version: "9.9.9"}, "newest published versions are 1.0.10, 1.0.9, 1.0.8, 1.0.7, 1.0.6:"},
		"HTTP, another chart": {registry.ChartRef{Repository: museum.URL, Name: "api", Version: "9.9.9"}, "no version of api is published"},
		"OCI":                 {registry.ChartRef{Repository: "oci://" + tags.Host() + "/charts", Name: "web", Version: "9.9.9"}, "newest published versions are 1.0.10, 1.0.9, 1.0.8+b:"},
		"OCI, another chart":  {registry.ChartRef{Repository: "oci://" + tags.Host() + "/charts", Name: "api", Version: "9.9.9"}, "no version of api is published"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			err := (&registry.Publications{Client: client}).Await(t.Context(), test.ref)
			if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "ChartNotPublished" || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.ref.String()) {
				t.Errorf("after %s: %v, want %s", time.Since(start), err, test.want)
			}
		})
	}
}

// TestRow29_TheEndOfTheTimeSaysWhatWasWaitedFor: a caller who waits as long as everything
// may take gets an answer, and not the end of the context.
func TestRow29_TheEndOfTheTimeSaysWhatWasWaitedFor(t *testing.T) {
	museum := registrytest.Start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(publishedIndex)) }))
	t.Cleanup(museum.Close)
	client, err := registry.New(registry.Access{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = (&registry.Publications{Client: client, Patience: time.Second}).Await(ctx, registry.ChartRef{Repository: museum.URL, Name: "web", Version: "9.9.9"})
	if fault.Of(err).Reason != "ChartNotPublished" || !strings.Contains(err.Error(), "chart web 9.9.9 in "+museum.URL) || !strings.Contains(err.Error(), " after ") {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	err = (&registry.Publications{Client: client, Patience: time.Hour}).Await(ctx, registry.ChartRef{Repository: museum.URL, Name: "web", Version: "9.9.9"})
	if fault.Of(err).Reason != "ChartNotPublished" || !strings.Contains(err.Error(), " after ") {
		t.Errorf("with less time than patience: %v", err)
	}
}
