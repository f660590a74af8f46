//go:build e2e

package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a Git host that tells the time that a test sets: the real one behind
// a proxy, which writes the header Date of its answers anew. Pods reach it too.
type clock struct {
	url   string
	start time.Time
	ahead atomic.Int64 // of the real one
}

func startClock(t *testing.T) *clock {
	t.Helper()
	host, err := url.Parse(shared.Gitea.URL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host.Hostname(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{url: "http://" + l.Addr().String(), start: time.Now()}
	s := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(host) },
		ModifyResponse: c.tell,
		FlushInterval:  -1,
	})
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return c
}

func (c *clock) tell(answer *http.Response) error {
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return err
	}
	answer.Header.Set("Date", date.Add(time.Duration(c.ahead.Load())).Format(http.TimeFormat))
	return nil
}

// set makes it the time; from then on the clock goes on.
func (c *clock) set(now time.Time) { c.ahead.Store(int64(time.Until(now))) }

// repository is the clone URL by way of this clock.
func (c *clock) repository(name string) string {
	return c.url + strings.TrimPrefix(shared.RepositoryURL(name), shared.Gitea.URL)
}
