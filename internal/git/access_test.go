package git_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func TestCertificates(t *testing.T) {
	t.Parallel()
	s := gittest.NewTLSServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	_, err := remote(t, repo.URL).Tip(t.Context(), "main")
	reason(t, err, fault.KindRefused, "GitCertificateUntrusted")
	_, err = remote(t, repo.URL, git.Access{CAFile: s.CAFile()}).Tip(t.Context(), "main")
	ok(t, err)
	_, err = remote(t, repo.URL, git.Access{SkipTLSVerify: true}).Tip(t.Context(), "main")
	ok(t, err)
	home := t.TempDir()
	write(t, filepath.Join(home, ".gitconfig"), "[http]\n\tsslCAInfo = "+s.CAFile()+"\n")
	_, err = remote(t, repo.URL, git.Access{CredentialsPath: home}).Tip(t.Context(), "main")
	ok(t, err)
	_, err = git.NewRemote(repo.URL, git.Access{CAFile: filepath.Join(home, "absent")})
	reason(t, err, fault.KindUsage, "CertificateUnreadable")
	_, err = git.NewRemote(repo.URL, git.Access{CAFile: filepath.Join(home, ".gitconfig")})
	reason(t, err, fault.KindUsage, "CertificateUnreadable")
}

func TestProxies(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	target, err := url.Parse(s.URL)
	ok(t, err)
	var asked atomic.Int32
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		asked.Add(1)
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
	}})
	t.Cleanup(proxy.Close)
	r := remote(t, "http://git.example.test/app.git", git.Access{HTTPProxy: proxy.URL})
	mem, update := onTip(t, r, "a", "2")
	ok(t, r.Push(t.Context(), mem, update))
	same(t, repo.File("main", "a"), "2")
	if asked.Load() == 0 {
		t.Fatal("the proxy was not asked")
	}
}

func TestExtraHeaderOfGitConfigGoesToItsHostOnly(t *testing.T) {
	t.Parallel()
	away := gittest.NewServer(t)
	away.Create("app", gittest.Files{"a": "1"})
	s := gittest.NewServer(t)
	s.Before(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, away.URL+r.URL.RequestURI(), http.StatusFound)
		return true
	})
	home := t.TempDir()
	write(t, filepath.Join(home, ".gitconfig"), "[http]\n\textraHeader = \"Authorization: Bearer c4nary\"\n")
	_, err := remote(t, s.URL+"/app.git", git.Access{CredentialsPath: home}).Tip(t.Context(), "main")
	ok(t, err)
	same(t, s.Requests()[0].Authorization, "Bearer c4nary")
	for _, r := range away.Requests() {
		same(t, r.Authorization, "")
	}
}

func TestRow42_SubmodulesOnOtherHostsGetTheirOwnCredentials(t *testing.T) {
	t.Parallel()
	other := gittest.NewServer(t)
	lib := other.Create("lib", gittest.Files{"l": "1"})
	s := gittest.NewServer(t)
	near := s.Create("near", gittest.Files{"n": "1"})
	repo := s.Create("app", gittest.Files{
		".gitmodules": "[submodule \"lib\"]\n\tpath = lib\n\turl = " + lib.URL + "\n[submodule \"near\"]\n\tpath = near\n\turl = ../near.git\n",
	})
	checkout := repo.Checkout()
	for name, m := range map[string]*gittest.Repository{"lib": lib, "near": near} {
		gittest.Git(t, checkout, "update-index", "--add", "--cacheinfo", "160000,"+m.Head("main")+","+name)
	}
	gittest.Git(t, checkout, "commit", "-qm", "modules")
	gittest.Git(t, checkout, "push", "-q", "origin", "HEAD:main")
	s.RequireLogin("robot", "c4nary")
	secret := t.TempDir()
	write(t, secret+"/username", "robot")
	write(t, secret+"/password", "c4nary")
	withUser := "http://robot:c4nary@" + strings.TrimPrefix(repo.URL, "http://")
	for url, access := range map[string]git.Access{repo.URL: {BasicAuth: secret}, withUser: {}} {
		dir := t.TempDir()
		_, err := git.Clone(t.Context(), remote(t, url, access), git.CloneOptions{Dir: dir, Depth: 1, Submodules: true})
		ok(t, err)
		same(t, gittest.Git(t, dir, "status", "--porcelain"), "")
		noSecretBelow(t, dir, "c4nary")
	}
	for _, r := range other.Requests() {
		same(t, r.Authorization, "")
	}
}
