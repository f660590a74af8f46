// Package registrytest gives tests real registries in this process: an OCI
// registry, with credentials where wanted, and a chart repository that speaks
// ChartMuseum's API and keeps what it is given.
package registrytest

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Server counts what it was asked and lets a test answer in its place.
type Server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // "GET /v2/…", in order of arrival
	user     string
	password string
	before   func(w http.ResponseWriter, r *http.Request) (handled bool)
}

// Host is host:port, the form in which image and chart references name it.
func (s *Server) Host() string { return strings.TrimPrefix(s.URL, "http://") }

// RequireLogin makes every request without these credentials a 401.
func (s *Server) RequireLogin(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user, s.password = user, password
}

// Before is called ahead of each request; true means that it wrote the answer.
func (s *Server) Before(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Requests lists "METHOD path" of all requests so far.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// Count is the number of requests so far that contain part.
func (s *Server) Count(part string) int {
	n := 0
	for _, request := range s.Requests() {
		if strings.Contains(request, part) {
			n++
		}
	}
	return n
}

// New starts an OCI registry that lives as long as the test.
func New(t testing.TB) *Server {
	server := Start(OCI())
	t.Cleanup(server.Close)
	return server
}

// NewMuseum starts a chart repository that lives as long as the test.
func NewMuseum(t testing.TB) *Server {
	server := Start(Museum())
	t.Cleanup(server.Close)
	return server
}

// OCI is a registry that keeps everything in memory.
func OCI() http.Handler { return registry.New(registry.Logger(log.New(io.Discard, "", 0))) }

// Start serves h on a loopback port, without a test around it: for sessions
// whose setup ends before the session does. The caller closes it.
func Start(h http.Handler) *Server {
	s := &Server{}
	s.Server = httptest.NewServer(s.guard(h))
	return s
}

func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		user, password, before := s.user, s.password, s.before
		s.mu.Unlock()
		if before != nil && before(w, r) {
			return
		}
		gotUser, gotPassword, _ := r.BasicAuth()
		if user != "" && (gotUser != user || gotPassword != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
