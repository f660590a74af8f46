package promotion_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// request is a pull request as Gitea has it.
type request struct {
	Number int    `json:"number"`
	Title  string `json:"title"`
	Body   string `json:"body"`
	State  string `json:"state"`
	Merged bool   `json:"merged"`
	Labels []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

// proposing is an environment's repository on a real Gitea.
type proposing struct {
	*giteatest.Server
	t      *testing.T
	name   string
	target promotion.Target
}

func newProposing(t *testing.T, server *giteatest.Server, name string) proposing {
	t.Helper()
	remote, err := git.NewRemote(server.Repository(name, gittest.Files{"Chart.yaml": list("1.0.0")}), git.Access{CredentialsPath: server.Credentials()})
	if err != nil {
		t.Fatal(err)
	}
	return proposing{server, t, name, promotion.Target{Environment: "staging", Remote: remote, Path: "."}}
}

func webAt(version string) promotion.Promotion {
	return promotion.Promotion{
		Application: "web", Chart: edit.Selector{Name: "web"}, Version: version, Changelog: "fix: a [skip ci] thing\nfeat: more",
		Author: git.Signature{Name: "Tester", Email: "tester@example.com"},
	}
}

func (p proposing) propose(version string, how promotion.PullRequests) (promotion.Proposed, error) {
	return webAt(version).Propose(p.t.Context(), p.target, how)
}

// pageOf is where Gitea has one request.
var pageOf = regexp.MustCompile(`/pulls/\d+$`)

// opening is how often a request that is open already is looked at before the
// wait for it begins.
const opening = 2

// meanwhile is the same repository, where something happens as soon as the wait
// for an open request has begun, before its first look is answered.
func (p proposing) meanwhile(do func()) proposing {
	p.t.Helper()
	looks := 0
	p.t.Cleanup(func() {
		if looks <= opening {
			p.t.Errorf("nobody waited: the request was looked at %d times", looks)
		}
	})
	return p.proxied(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && pageOf.MatchString(r.URL.Path) {
			if looks++; looks == opening+1 {
				do()
			}
		}
		return false
	})
}

// proxied is the same repository behind a host that may do something else first:
// before reports whether it has answered.
func (p proposing) proxied(before func(w http.ResponseWriter, r *http.Request) bool) proposing {
	p.t.Helper()
	gitea, err := url.Parse(p.Server.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(gitea)
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !before(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	p.t.Cleanup(host.Close)
	dir := p.t.TempDir()
	entry := strings.Replace(host.URL, "://", "://"+giteatest.User+":"+giteatest.Password+"@", 1)
	if err := os.WriteFile(filepath.Join(dir, ".git-credentials"), []byte(entry+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.target.Remote, err = git.NewRemote(host.URL+"/"+giteatest.User+"/"+p.name+".git", git.Access{CredentialsPath: dir})
	if err != nil {
		p.t.Fatal(err)
	}
	return p
}

func (p proposing) path(rest string) string {
	return "repos/" + giteatest.User + "/" + p.name + "/" + rest
}

func (p proposing) requests() []request {
	var all []request
	p.API(http.MethodGet, p.path("pulls?state=all"), nil, &all)
	return all
}

func (p proposing) mustPropose(version string, how promotion.PullRequests, want promotion.Outcome) promotion.Proposed {
	p.t.Helper()
	done, err := p.propose(version, how)
	if err != nil || done.Outcome != want {
		p.t.Fatalf("%s: %s %v, want %s", version, done.Outcome, err, want)
	}
	return done
}
