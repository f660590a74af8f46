package git_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// front stands before a Git host and sees its connections and credentials.
type front struct {
	*httptest.Server
	mu     sync.Mutex
	opened int
	users  map[string][]string // by path's first folder
}

func newFront(t *testing.T, host *gittest.Server) *front {
	target, err := url.Parse(host.URL)
	ok(t, err)
	f := &front{users: map[string][]string{}}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		user, _, _ := r.In.BasicAuth()
		f.mu.Lock()
		defer f.mu.Unlock()
		repository, _, _ := strings.Cut(strings.TrimPrefix(r.In.URL.Path, "/"), "/")
		f.users[repository] = append(f.users[repository], user)
		r.SetURL(target)
	}}
	f.Server = httptest.NewUnstartedServer(proxy)
	f.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if s == http.StateNew {
			f.opened++
		}
	}
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *front) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}

func TestRemotesOfOneHostShareTheirConnections(t *testing.T) {
	s := gittest.NewServer(t)
	f := newFront(t, s)
	open := git.Login{SSLVerify: true}.Opener(0)
	for _, name := range []string{"one", "two", "three", "four"} {
		s.Create(name, gittest.Files{"a": name})
		r, err := open(f.URL + "/" + name + ".git")
		ok(t, err)
		_, err = r.Tip(t.Context(), "main")
		ok(t, err)
	}
	if n := f.connections(); n > 2 {
		t.Errorf("%d connections for four remotes of one host", n)
	}
}

// TestRow42_ASharedConnectionCarriesNoCredentials: of two remotes with different
// logins each sends its own, and one without any sends none.
func TestRow42_ASharedConnectionCarriesNoCredentials(t *testing.T) {
	s := gittest.NewServer(t)
	f := newFront(t, s)
	shared := &git.Connections{}
	for name, user := range map[string]string{"one": "robot", "two": "person", "three": ""} {
		s.Create(name, gittest.Files{"a": name})
		address, err := url.Parse(f.URL + "/" + name + ".git")
		ok(t, err)
		if user != "" {
			address.User = url.UserPassword(user, "secret of "+user)
		}
		r := remote(t, address.String(), git.Access{Connections: shared, CredentialsPath: t.TempDir()})
		for range 2 {
			_, err = r.Tip(t.Context(), "main")
			ok(t, err)
		}
		f.mu.Lock()
		for _, got := range f.users[name+".git"] {
			if got != user {
				t.Errorf("a request for %s came from %q, want %q", name, got, user)
			}
		}
		if len(f.users[name+".git"]) == 0 {
			t.Errorf("no request for %s was seen: %v", name, f.users)
		}
		f.mu.Unlock()
	}
	if n := f.connections(); n > 2 {
		t.Errorf("%d connections", n)
	}
}

// TestRow42_WhoTrustsLessHasConnectionsOfItsOwn: what one remote trusts says
// nothing about another one.
func TestRow42_WhoTrustsLessHasConnectionsOfItsOwn(t *testing.T) {
	s := gittest.NewTLSServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	shared := &git.Connections{}
	tip := func(a git.Access) error {
		a.Connections = shared
		_, err := remote(t, repo.URL, a).Tip(t.Context(), "main")
		return err
	}
	own := filepath.Join(t.TempDir(), "ca.crt")
	pem, err := os.ReadFile(s.CAFile())
	ok(t, err)
	write(t, own, string(pem))
	ok(t, tip(git.Access{SkipTLSVerify: true}))
	reason(t, tip(git.Access{}), fault.KindRefused, "GitCertificateUntrusted")
	ok(t, tip(git.Access{CAFile: own}))
	reason(t, tip(git.Access{}), fault.KindRefused, "GitCertificateUntrusted")

	write(t, own, "") // another content of the same file
	_, err = git.NewRemote(repo.URL, git.Access{CAFile: own, Connections: shared})
	reason(t, err, fault.KindUsage, "CertificateUnreadable")
}
