package clustertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Proxy stands between a program and the API server. What the hook does not
// answer goes on to the real server.
type Proxy struct {
	Kubeconfig string // for the program under test
	// Skew is added to the server's time in its answers, in nanoseconds.
	Skew atomic.Int64

	forward http.Handler

	mu   sync.Mutex
	hook func(http.ResponseWriter, *http.Request) (answered bool)
}

// Proxy starts a proxy. Its caller has the administrator's rights.
func (c *Cluster) Proxy(t testing.TB) *Proxy {
	t.Helper()
	transport, err := rest.TransportFor(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(c.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.Transport = transport
	forward.FlushInterval = -1 // watches
	p := &Proxy{forward: forward}
	forward.ModifyResponse = func(response *http.Response) error {
		if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			response.Header.Set("Date", date.Add(time.Duration(p.Skew.Load())).Format(http.TimeFormat))
		}
		return nil
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hook := p.current(); hook != nil && hook(w, r) {
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.CloseClientConnections)
	p.Kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: proxy, cluster: {server: %q}}]
contexts: [{name: proxy, context: {cluster: proxy, user: nobody, namespace: %s}}]
users: [{name: nobody, user: {}}]
current-context: proxy
`, server.URL, c.Namespace)
	if err := os.WriteFile(p.Kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// Forward hands a request to the real server.
func (p *Proxy) Forward(w http.ResponseWriter, r *http.Request) { p.forward.ServeHTTP(w, r) }

// Hook sets what happens to every request from now on. It runs in the request's
// goroutine, in several at once.
func (p *Proxy) Hook(hook func(w http.ResponseWriter, r *http.Request) (answered bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = hook
}

func (p *Proxy) current() func(http.ResponseWriter, *http.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hook
}
