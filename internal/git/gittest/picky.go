package gittest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var noContext = context.Background()

func httptestServer(h http.Handler) *httptest.Server { return httptest.NewServer(h) }

// NewMultiAckServer starts a host that, like Azure DevOps, serves version 0
// alone and refuses whoever does not know multi_ack. It is git http-backend
// behind a filter: the rest of that host's ways is not here.
func NewMultiAckServer(t testing.TB) *Server {
	s := NewServer(t)
	s.OldProtocol()
	s.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if !IsFetch(r) {
			return false
		}
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		if err == nil && bytes.Contains(body, []byte(" multi_ack")) {
			return false
		}
		http.Error(w, "multi_ack is required", http.StatusBadRequest)
		return true
	})
	return s
}

// NewPickyServer starts a host that does what some hosts do and git
// http-backend does not: it asks for credentials without a realm, sends its
// answers in small chunks, takes no several refs in one step, lists refs of
// its own (refs/changes, refs/pull), and has words of its own for a push that
// it refuses. It is git http-backend behind a filter.
func NewPickyServer(t testing.TB) *Server {
	s := NewServer(t)
	s.settings = []string{"receive.advertiseAtomic=false"}
	s.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized) // no WWW-Authenticate, no text
		return true
	})
	s.around = func(w http.ResponseWriter) http.ResponseWriter { return &dribbling{w} }
	return s
}

// WithUser is a repository's URL with credentials, as hosts that ask for some
// want them.
func (r *Repository) WithUser(user, password string) string {
	return strings.Replace(r.URL, "://", "://"+user+":"+password+"@", 1)
}

// dribbling sends each answer in chunks of a few bytes.
type dribbling struct{ http.ResponseWriter }

func (d *dribbling) Write(b []byte) (n int, err error) {
	d.Header().Del("Content-Length")
	for n < len(b) && err == nil {
		var written int
		written, err = d.ResponseWriter.Write(b[n:min(n+11, len(b))])
		n += written
		_ = http.NewResponseController(d.ResponseWriter).Flush()
	}
	return n, err
}
