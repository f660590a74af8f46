// Package gittest serves Git repositories in-process, as hosts do: the real
// git http-backend behind net/http, with credentials, server-side hooks, and
// faults on demand. It needs the git program and is for tests only.
package gittest

import (
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Server is a Git host. Its fields may be set until the first request; Before
// and the counters are safe at any time.
type Server struct {
	// URL is the address of the host; RepositoryURL that of a repository.
	URL string
	// Dir holds the bare repositories.
	Dir string
	// TLS is the server, for its certificate.
	TLS *httptest.Server

	t      testing.TB
	git    string
	host   http.Handler // that serves Dir; nil: git http-backend
	around func(http.ResponseWriter) http.ResponseWriter
	// settings are those of git http-backend, as key=value.
	settings []string
	mu       sync.Mutex
	user     string
	pass     string
	old      bool
	before   []func(http.ResponseWriter, *http.Request) bool
	after    func(*http.Request, *httptest.ResponseRecorder) bool
	cut      func(*http.Request) int
	seen     []Request
}

// Request is a request as it came in.
type Request struct {
	Method, Path, Service string
	Authorization         string
	Status                int
}

// NewServer starts a host over plain HTTP. It stops with the test.
func NewServer(t testing.TB) *Server { return start(t, httptest.NewServer) }

// NewTLSServer starts a host over HTTPS with a certificate of its own.
func NewTLSServer(t testing.TB) *Server { return start(t, httptest.NewTLSServer) }

func start(t testing.TB, serve func(http.Handler) *httptest.Server) *Server {
	t.Helper()
	s := &Server{Dir: t.TempDir(), t: t}
	var err error
	if s.git, err = exec.LookPath("git"); err != nil {
		t.Fatalf("this test needs the git program: %v", err)
	}
	s.TLS = serve(http.HandlerFunc(s.serve))
	s.URL = s.TLS.URL
	t.Cleanup(s.TLS.Close)
	return s
}

// RequireLogin asks every request for this user and password from now on.
func (s *Server) RequireLogin(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user, s.pass = user, password
}

// OldProtocol makes the host ignore the wish for protocol version 2.
func (s *Server) OldProtocol() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.old = true
}

// Before puts a handler in front of the next requests: it answers itself and
// returns true, or returns false to let the request through. Handlers are
// asked in turn; Once, Nth and Always help to write them.
func (s *Server) Before(h func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = append(s.before, h)
}

// LoseAnswers lets requests for which match is true do their work, then cuts
// the connection instead of answering, n times.
func (s *Server) LoseAnswers(n int, match func(*http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = func(r *http.Request, _ *httptest.ResponseRecorder) bool {
		if n == 0 || !match(r) {
			return false
		}
		n--
		return true
	}
}

// IsPush matches the request that carries a push.
func IsPush(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/git-receive-pack") }

// IsFetch matches the request that asks for objects or, in version 2, refs.
func IsFetch(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/git-upload-pack") }

// Status answers the first n requests that match with a status.
func Status(n, status int, match func(*http.Request) bool, header ...string) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 || !match(r) {
			return false
		}
		n--
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		http.Error(w, http.StatusText(status), status)
		return true
	}
}

// Any matches every request.
func Any(*http.Request) bool { return true }

// Requests are those that came in so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.seen...)
}

// Count is the number of requests so far that match.
func (s *Server) Count(match func(Request) bool) int {
	n := 0
	for _, r := range s.Requests() {
		if match(r) {
			n++
		}
	}
	return n
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	at := len(s.seen)
	s.seen = append(s.seen, Request{Method: r.Method, Path: r.URL.Path, Service: r.URL.Query().Get("service"),
		Authorization: r.Header.Get("Authorization")})
	before, after, old := s.before, s.after, s.old
	user, pass, cut := s.user, s.pass, s.cut
	s.mu.Unlock()
	rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		s.mu.Lock()
		s.seen[at].Status = rec.status
		s.mu.Unlock()
	}()
	for _, h := range before {
		if h(rec, r) {
			return
		}
	}
	if u, p, ok := r.BasicAuth(); user != "" && (!ok || u != user || p != pass) {
		rec.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(rec, "who are you?", http.StatusUnauthorized)
		return
	}
	if old {
		r.Header.Del("Git-Protocol")
	}
	if s.around != nil {
		s.backend(s.around(rec), r, after)
		return
	}
	if cut != nil {
		if n := cut(r); n >= 0 {
			s.backend(&shortened{rec, n}, r, after)
			return
		}
	}
	s.backend(rec, r, after)
}

func (s *Server) backend(w http.ResponseWriter, r *http.Request, after func(*http.Request, *httptest.ResponseRecorder) bool) {
	var handler http.Handler = &cgi.Handler{
		Path: s.git, Args: s.arguments(), Dir: s.Dir, Stderr: io.Discard,
		Env: []string{
			"GIT_PROJECT_ROOT=" + s.Dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=tester",
			"GIT_CONFIG_NOSYSTEM=1", "HOME=" + s.Dir,
			"GIT_PROTOCOL=" + r.Header.Get("Git-Protocol"),
		},
	}
	if s.host != nil {
		handler = s.host
	}
	if after == nil {
		handler.ServeHTTP(w, r)
		return
	}
	whole := httptest.NewRecorder()
	handler.ServeHTTP(whole, r)
	if s.lose(r, whole, after) {
		panic(http.ErrAbortHandler) // net/http cuts the connection
	}
	for k, v := range whole.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(whole.Code)
	w.Write(whole.Body.Bytes())
}

// arguments are those of the git program.
func (s *Server) arguments() (all []string) {
	for _, setting := range s.settings {
		all = append(all, "-c", setting)
	}
	return append(all, "http-backend")
}

func (s *Server) lose(r *http.Request, whole *httptest.ResponseRecorder, after func(*http.Request, *httptest.ResponseRecorder) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return after(r, whole)
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// CAFile writes the certificate of a NewTLSServer host as PEM and returns its path.
func (s *Server) CAFile() string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "ca-bundle.crt")
	if err := os.WriteFile(path, pemOf(s.TLS.Certificate().Raw), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// Cut ends the connection in the middle of answers: after is how many bytes of
// a request's answer come through, -1 for all.
func (s *Server) Cut(after func(*http.Request) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = after
}

// shortened is a response that breaks off.
type shortened struct {
	http.ResponseWriter
	left int
}

func (w *shortened) Write(b []byte) (int, error) {
	n := min(len(b), w.left)
	w.left -= n
	if _, err := w.ResponseWriter.Write(b[:n]); err != nil {
		return 0, err
	}
	if w.left == 0 {
		http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, nil
}
