// Package local knows the servers of a machine without a cluster: a Git host
// that sends webhooks, an OCI registry, and the door that webhooks come in by,
// in one process at one loopback address:
//
//	/git/<owner>/<name>.git   Git over smart HTTP
//	/v2/                      the registry
//	/hooks/<name>             POST: handed to the caller's Receiver
//	/healthz, /status         what runs here, as JSON
//
// It asks for no login: whoever has a process on this machine may read and
// write. It does not know what a webhook means and runs no pipeline; the caller
// brings a Receiver for that.
package local

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep-cd/lockstep/internal/registry/server"
)

// Call is a webhook that came in.
type Call struct {
	Name   string // /hooks/<name>
	Header http.Header
	Body   []byte
	URL    string // path and query
}

// Receiver acts on a webhook. What it returns is the answer as JSON; an error's
// fault decides the status: Usage 400, Refused 403, everything else 500, and
// only that is sent again. It must return quickly, with the work going on
// elsewhere: a sender waits at most half a minute.
type Receiver func(context.Context, Call) (any, error)

// Options are the caller's parts of a Server.
type Options struct {
	Receive Receiver     // nil: every webhook is answered with 404
	Log     *slog.Logger // nil: nothing is logged
}

// Server is the servers of one folder.
type Server struct {
	*Repositories
	dir      string
	options  Options
	log      *slog.Logger
	registry *server.Server
	journal  *journal
	outbox   *outbox
	pushing  locks
	address  string
	requests context.Context // ends when requests under way are cut off
	underWay atomic.Int64    // requests
	grace    time.Duration
}

// Open prepares the servers that keep everything in dir, which is made where it
// is not there. It changes nothing that a running server of the same folder
// reads; Serve is what allows only one.
func Open(dir string, o Options) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	repositories, err := OpenRepositories(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{Repositories: repositories, dir: dir, options: o, log: o.Log, grace: grace, pushing: locks{held: map[string]*sync.Mutex{}}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// prepare reads what the last server left. Only the one that holds the folder
// may do so.
func (s *Server) prepare() (err error) {
	if err := os.RemoveAll(s.spool()); err != nil {
		return err
	}
	if err := os.MkdirAll(s.spool(), 0o700); err != nil {
		return err
	}
	if s.journal, err = openJournal(filepath.Join(s.dir, "deliveries.json")); err != nil {
		return err
	}
	s.outbox = newOutbox(s.journal, s.Repositories, "http://"+s.address, s.log)
	s.registry, err = server.Open(filepath.Join(s.dir, "registry"))
	return err
}

// spool is where pushes wait until they are whole.
func (s *Server) spool() string { return filepath.Join(s.dir, "tmp") }

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /git/{owner}/{name}/info/refs", s.advertise)
	mux.HandleFunc("POST /git/{owner}/{name}/git-upload-pack", s.fetch)
	mux.HandleFunc("POST /git/{owner}/{name}/git-receive-pack", s.push)
	mux.HandleFunc("POST /hooks/{name}", s.hook)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /status", s.status)
	mux.Handle("/v2/", s.registry)
	return guard(mux)
}

// guard keeps web pages out: a browser on this machine would carry their
// requests here, under their own name or under one that they point at loopback.
func guard(next http.Handler) http.Handler {
	own := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			http.Error(w, "this server is called by its loopback address only", http.StatusMisdirectedRequest)
			return
		}
		own.ServeHTTP(w, r)
	})
}

// locks are one mutex for each name.
type locks struct {
	mu   sync.Mutex
	held map[string]*sync.Mutex
}

// lock waits for a name and returns what lets go of it.
func (l *locks) lock(name string) (unlock func()) {
	l.mu.Lock()
	one := l.held[name]
	if one == nil {
		one = &sync.Mutex{}
		l.held[name] = one
	}
	l.mu.Unlock()
	one.Lock()
	return one.Unlock
}

// errNoRepository is returned for a repository that is not there.
var errNoRepository = errors.New("no such repository")
