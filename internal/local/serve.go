package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// grace is how long requests may take to end once the server stops.
const grace = 4 * time.Second

// settle is how long the last bytes of an answer may take to leave.
const settle = 200 * time.Millisecond

// Listen opens a port of this machine. Port 0 is any that is free.
func Listen(address string) (net.Listener, error) {
	if !loopbackHost(address) {
		return nil, notLoopback(address)
	}
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		_, port, _ := net.SplitHostPort(address)
		return nil, fault.Usage("PortTaken", fmt.Errorf("listen on %s: %w", address, err),
			fmt.Sprintf("Another program uses port %s: stop it – the demo of another checkout by make demo-down there – or choose another port with LOCKSTEP_LOCAL_PORT.", port))
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

func notLoopback(address string) error {
	return fault.Usage("AddressNotLoopback", fmt.Errorf("listen on %s: these servers ask for no login and are for this machine only", address),
		"Use 127.0.0.1 or localhost.")
}

// loopbackHost holds for host or host:port that never leaves this machine.
func loopbackHost(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Serve answers until ctx ends, then lets the requests under way finish for a
// few seconds and returns nil. It closes l. A folder has one server at a time:
// with another one running the error is AlreadyRunning. Deliveries that were
// not made are made by the next Serve.
func (s *Server) Serve(ctx context.Context, l net.Listener) (err error) {
	defer l.Close()
	s.address = l.Addr().String()
	if !loopbackHost(s.address) {
		return notLoopback(s.address)
	}
	unlock, err := lockFolder(ctx, s.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.prepare(); err != nil {
		return explain(err, "open the servers in "+s.dir)
	}
	defer func() { err = errors.Join(err, s.registry.Close()) }()
	forget, err := remember(s.dir, s.address)
	if err != nil {
		return explain(err, "note that the servers run")
	}
	defer forget()
	return s.answer(ctx, l)
}

// answer serves, and waits for everything that it started.
func (s *Server) answer(ctx context.Context, l net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	// Requests live longer than ctx: they are stopped only after their grace.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	s.requests = requests
	h := &http.Server{
		Handler: s.counted(s.handler()), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelError),
	}
	s.outbox.start(ctx)
	defer s.outbox.wait()
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	s.log.Info("the servers are up", "address", s.address)
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", s.address, err)
	case <-ctx.Done():
	}
	s.log.Info("the servers stop")
	return s.finish(requests, cut, h)
}

// finish lets the requests under way end, then cuts off what is left.
func (s *Server) finish(ctx context.Context, cut func(), h *http.Server) error {
	late, cancel := context.WithTimeout(ctx, s.grace)
	defer cancel()
	// Shutdown would wait also for connections on which nobody asked anything yet.
	go func() {
		s.idle(late)
		_ = retry.Sleep(late, settle)
		cancel()
	}()
	if h.Shutdown(late) == nil {
		return nil
	}
	err := h.Close()
	cut()
	// The git programs of what was cut off end before this one does.
	last, done := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer done()
	s.idle(last)
	return err
}

// idle returns when no request is under way, or when ctx ends.
func (s *Server) idle(ctx context.Context) {
	for s.underWay.Load() > 0 && retry.Sleep(ctx, interval) == nil {
	}
}

// counted counts the requests under way.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.underWay.Add(1)
		defer s.underWay.Add(-1)
		next.ServeHTTP(w, r)
	})
}

// lockFolder makes sure that no other process serves this folder. One that is
// just ending gets a moment.
func lockFolder(ctx context.Context, dir string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		unlock, err = lockFile(filepath.Join(dir, "lock"))
		if !errors.Is(err, syscall.EWOULDBLOCK) || retry.Sleep(ctx, interval) != nil {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fault.Refused("AlreadyRunning", fmt.Errorf("serve %s: another process does already: %w", dir, err),
			"Stop that one first, or choose another folder.")
	}
	return unlock, explain(err, "lock "+dir)
}

// lockFile does not wait: a lock that another holds is EWOULDBLOCK. The system
// lets go of it when the process ends, however it ends.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { f.Close() }, nil
}
