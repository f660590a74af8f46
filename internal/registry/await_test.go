package registry_test

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

const publishedIndex = "apiVersion: v1\nentries:\n  web:\n  - apiVersion: v2\n    name: web\n    version: 1.0.1\n    urls:\n    - web-1.0.1.tgz\n"

// TestRow29_APublicationIsAwaited: a chart that is on its way is found when it
// is there, and asked for once, however many environments wait for it; one that
// never comes ends the waiting.
func TestRow29_APublicationIsAwaited(t *testing.T) {
	var looks atomic.Int64
	server := registrytest.Start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if looks.Add(1) == 1 {
			_, _ = w.Write([]byte("apiVersion: v1\nentries: {}\n"))
			return
		}
		_, _ = w.Write([]byte(publishedIndex))
	}))
	t.Cleanup(server.Close)
	client, err := registry.New(registry.Access{})
	if err != nil {
		t.Fatal(err)
	}
	p := &registry.Publications{Client: client, Patience: time.Minute}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if err := p.Await(t.Context(), registry.ChartRef{Repository: server.URL, Name: "web", Version: "1.0.1"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := looks.Load(); n != 2 {
		t.Errorf("the index was read %d times, want 2: in vain, and with the chart in it", n)
	}

	p = &registry.Publications{Client: client}
	err = p.Await(t.Context(), registry.ChartRef{Repository: server.URL, Name: "web", Version: "9.9.9"})
	if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "ChartNotPublished" || !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a chart that never comes: %v", err)
	}
}
