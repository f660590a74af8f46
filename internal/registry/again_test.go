package registry_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

// uploads are the requests that publishing an archive makes.
var uploads = []string{http.MethodPost, http.MethodPatch, http.MethodPut}

// TestRow08_UploadsAreRepeated: a server that is busy, or a connection that
// breaks, in the middle of a push.
func TestRow08_UploadsAreRepeated(t *testing.T) {
	breaks := func(w http.ResponseWriter) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.Close()
		}
	}
	says := func(status int, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
		}
	}
	for kind, server := range map[string]*registrytest.Server{"oci": registrytest.New(t), "museum": registrytest.NewMuseum(t)} {
		for name, fail := range map[string]func(http.ResponseWriter){
			"429": says(429), "503": says(503, "Retry-After", "0"), "a limit": says(403, "Retry-After", "1"), "502": says(502), "a broken connection": breaks,
		} {
			for _, method := range uploads {
				t.Run(kind+" "+method+" "+name, func(t *testing.T) {
					var failed atomic.Bool
					server.Before(func(w http.ResponseWriter, r *http.Request) bool {
						if r.Method != method || !failed.CompareAndSwap(false, true) {
							return false
						}
						fail(w)
						return true
					})
					repository := server.URL
					if kind == "oci" {
						repository = "oci://" + server.Host() + "/charts"
					}
					a := archive(t, strings.ToLower(method)+"-"+strings.ReplaceAll(name, " ", "-"), "1.0.0", name)
					if _, err := client(t, registry.Access{}).PushChart(context.Background(), repository, a); err != nil {
						t.Fatal(err)
					}
					if !failed.Load() && kind == "oci" {
						t.Error("there was no such request")
					}
				})
			}
		}
	}
}

// TestRow08_NoServerHoldsUsForEver: not with a number that no clock holds either.
func TestRow08_NoServerHoldsUsForEver(t *testing.T) {
	for _, after := range []string{"3600", "9999999999", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		museum := registrytest.NewMuseum(t)
		museum.Before(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		_, err := client(t, registry.Access{Patience: time.Second}).FindChart(context.Background(), registry.ChartRef{Repository: museum.URL, Name: "a", Version: "1.0.0"})
		if f := fault.Of(err); f.Reason != "RegistryUnavailable" || len(museum.Requests()) != 1 {
			t.Errorf("Retry-After %s: %d requests, %v", after, len(museum.Requests()), err)
		}
	}
}

// TestRow28_ADownloadThatBreaksOffIsRepeated: the index and the archive.
func TestRow28_ADownloadThatBreaksOffIsRepeated(t *testing.T) {
	museum := registrytest.NewMuseum(t)
	ctx := context.Background()
	c := client(t, registry.Access{})
	if _, err := c.PushChart(ctx, museum.URL, archive(t, "a", "1.0.0", "one")); err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{}
	museum.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if broken[r.URL.Path] {
			return false
		}
		broken[r.URL.Path] = true
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write([]byte("apiVersion: v1\nentries:\n"))
		return true // less than it said
	})
	found, err := c.LocateCharts(ctx, registry.ChartRef{Repository: museum.URL, Name: "a", Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DownloadChart(ctx, found[0]); err != nil {
		t.Error(err)
	}
	if len(broken) != 2 {
		t.Errorf("broke off: %v", broken)
	}
}

// TestACancelledCallerLeavesTheQuestionToOthers: who asked first is no reason to
// tell the others that it was given up.
func TestACancelledCallerLeavesTheQuestionToOthers(t *testing.T) {
	asked := make(chan struct{}, 1)
	var published atomic.Bool
	museum := registrytest.Start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		if published.Load() {
			_, _ = w.Write([]byte(publishedIndex))
			return
		}
		_, _ = w.Write([]byte("apiVersion: v1\nentries: {}\n"))
	}))
	t.Cleanup(museum.Close)
	p := &registry.Publications{Client: client(t, registry.Access{}), Patience: time.Minute}
	ref := registry.ChartRef{Repository: museum.URL, Name: "web", Version: "1.0.1"}
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- p.Await(ctx, ref) }()
	<-asked
	go func() { second <- p.Await(t.Context(), ref) }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that was cancelled: %v", err)
	}
	published.Store(true)
	if err := <-second; err != nil {
		t.Errorf("the other one: %v", err)
	}
	if err := p.Await(t.Context(), ref); err != nil {
		t.Errorf("a later one: %v", err)
	}
}
