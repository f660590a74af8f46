package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes connects to a server that is a function, over connections in memory, so
// that its silence takes no time.
func pipes(serve func(net.Conn)) *http.Transport {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go serve(there)
		return here, nil
	}}
}

// TestRow08_ABodyThatStallsIsATimeout: the server begins an answer and falls silent.
func TestRow08_ABodyThatStallsIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := pipes(func(c net.Conn) {
			defer c.Close()
			_, _ = io.ReadAtLeast(c, make([]byte, 4096), 1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nentries:")
			_, _ = c.Read(make([]byte, 1)) // until the client leaves
		})
		defer base.CloseIdleConnections()
		c := &Client{keys: &keychain{}, http: &patient{base: base, insecure: newHosts([]string{"charts.example.com"})}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://charts.example.com/index.yaml", nil)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		resp, err := c.http.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() || !broken(err) {
			t.Errorf("after %q: %v", content, err)
		}
		if took := time.Since(start); took != stallTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

// TestRow08_ASlowBodyIsNoStall: what comes in drops may take as long as it likes.
func TestRow08_ASlowBodyIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := pipes(func(c net.Conn) {
			defer c.Close()
			_, _ = io.ReadAtLeast(c, make([]byte, 4096), 1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n")
			for range 5 {
				time.Sleep(stallTimeout - time.Second)
				_, _ = io.WriteString(c, "x")
			}
		})
		defer base.CloseIdleConnections()
		p := &patient{base: base, insecure: newHosts([]string{"charts.example.com"})}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://charts.example.com/index.yaml", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := p.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if content, err := io.ReadAll(resp.Body); err != nil || string(content) != strings.Repeat("x", 5) {
			t.Errorf("got %q, %v", content, err)
		}
	})
}
