package main

import (
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os/exec"
	"strings"
	"sync/atomic"
)

// host serves the bare repositories of a folder as a Git host does: the real
// git http-backend, which also speaks protocol version 2.
type host struct {
	address  string
	server   *http.Server
	requests atomic.Int64
	pushes   atomic.Int64
}

func newHost(dir string) (*host, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &host{address: listener.Addr().String()}
	h.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.count(r)
		backend := cgi.Handler{
			Path: program, Args: []string{"http-backend"}, Dir: dir, Stderr: io.Discard,
			Env: []string{
				"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + dir,
				"GIT_PROTOCOL=" + r.Header.Get("Git-Protocol"),
				"GIT_COMMITTER_NAME=host", "GIT_COMMITTER_EMAIL=host@example.com",
			},
		}
		backend.ServeHTTP(w, r)
	})}
	go h.server.Serve(listener)
	return h, nil
}

func (h *host) count(r *http.Request) {
	h.requests.Add(1)
	if strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
		h.pushes.Add(1)
	}
}

func (h *host) close() error { return h.server.Close() }
