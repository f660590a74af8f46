package gittest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// NewInProcessServer starts a host that answers within this process, in protocol
// version 2 and as git http-backend answers, a hundred times as fast. It is a
// fake: it is for tests that ask a host thousands of times, such as a fault at
// every request. It runs no hooks, reads no configuration, and takes objects
// from a push without looking for what they refer to. That it answers as real
// hosts do is tested where those are compared.
func NewInProcessServer(t testing.TB) *Server {
	s := start(t, httptestServer)
	s.host = &inProcess{dir: s.Dir}
	return s
}

type inProcess struct {
	dir string
	mu  sync.Mutex
}

// service is what a request asks for: the greeting of a service, or its work.
type service struct {
	repository *repository
	name       string
	greeting   bool
}

func (p *inProcess) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.service(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	// The answer is whole before its first byte leaves, so that a slow reader
	// keeps no other request from the repositories.
	answer := packets{&bytes.Buffer{}}
	if err := s.serve(answer, r); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	kind := "result"
	if s.greeting {
		kind = "advertisement"
	}
	w.Header().Set("Content-Type", "application/x-"+s.name+"-"+kind)
	_, _ = w.Write(answer.Bytes())
}

func (p *inProcess) service(r *http.Request) (service, error) {
	folder, name := filepath.Split(r.URL.Path)
	s := service{name: name}
	if name == "refs" {
		s.greeting, s.name = true, r.URL.Query().Get("service")
		folder = strings.TrimSuffix(folder, "info/")
	}
	dir := filepath.Join(p.dir, filepath.FromSlash(folder))
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		return s, fmt.Errorf("no repository at %s", folder)
	}
	if hooks, err := os.ReadDir(filepath.Join(dir, "hooks")); err == nil && len(hooks) > 0 {
		return s, fmt.Errorf("%s has hooks, which this host does not run: use NewServer", folder)
	}
	s.repository = &repository{Storage: filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRUDefault())}
	return s, nil
}

func (s service) serve(out packets, r *http.Request) error {
	switch {
	case s.greeting && s.name == "git-upload-pack":
		if r.Header.Get("Git-Protocol") != "version=2" {
			return errors.New("this host speaks version 2 only: use NewServer")
		}
		for _, line := range []string{"version 2", "agent=git/in-process", "ls-refs", "fetch=shallow", "object-format=sha1"} {
			out.line("%s\n", line)
		}
		out.flush()
		return nil
	case s.greeting && s.name == "git-receive-pack":
		out.line("# service=git-receive-pack\n")
		out.flush()
		return s.repository.advertise(out)
	case s.name == "git-upload-pack":
		return s.repository.upload(out, r.Body)
	case s.name == "git-receive-pack":
		return s.repository.receive(out, r.Body)
	}
	return fmt.Errorf("no service %q", s.name)
}

// packets writes an answer (gitprotocol-common).
type packets struct{ *bytes.Buffer }

func (p packets) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(p, "%04x%s", len(text)+4, text)
}
func (p packets) flush()     { p.WriteString("0000") }
func (p packets) delimiter() { p.WriteString("0001") }

// inBand sends data over the first side band, and ends the answer.
func (p packets) inBand(data []byte) {
	const most = 65520 - 5
	for chunk := range slices.Chunk(data, most) {
		p.line("\x01%s", chunk)
	}
	p.flush()
}

// words reads lines of text up to a flush packet. Delimiter packets come back as "".
func words(in io.Reader) ([]string, error) {
	var all []string
	for {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return nil, err
		}
		var n int
		if _, err := fmt.Sscanf(string(head[:]), "%04x", &n); err != nil {
			return nil, fmt.Errorf("packet length %q: %w", head, err)
		}
		switch {
		case n == 0:
			return all, nil
		case n == 1:
			all = append(all, "")
			continue
		case n < 4:
			return nil, fmt.Errorf("packet length %d", n)
		}
		line := make([]byte, n-4)
		if _, err := io.ReadFull(in, line); err != nil {
			return nil, err
		}
		all = append(all, strings.TrimSuffix(string(line), "\n"))
	}
}

// repository is one of a host's, on disk as Git has it.
type repository struct {
	*filesystem.Storage
	// foreign is whether there are packs that go-git does not read.
	foreign bool
}

// refs are all refs by name, HEAD resolved where its branch is there.
func (r *repository) refs() (byName map[string]plumbing.Hash, head string, err error) {
	byName = map[string]plumbing.Hash{}
	all, err := r.IterReferences()
	if err != nil {
		return nil, "", err
	}
	err = all.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.SymbolicReference {
			head = ref.Target().String()
			return nil
		}
		byName[ref.Name().String()] = ref.Hash()
		return nil
	})
	return byName, head, err
}
