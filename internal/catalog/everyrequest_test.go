package catalog_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

const (
	chart = "apiVersion: v2\nname: staging\nversion: 0.1.0\n"
	// most is far more requests than any of them needs.
	most = 60
)

// TestRow17_EveryRequestMayBeTheLast lets a command end at its first request, its
// second and so on, because the server fails or the program is killed, before or behind
// the server's work. After a repetition all is there, exactly once.
func TestRow17_EveryRequestMayBeTheLast(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]end{
		"fails":            {before: true},
		"never tells":      {},
		"is killed before": {before: true, kills: true},
		"is killed behind": {kills: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("environment", func(t *testing.T) { endAtEvery(t, e, creation) })
			t.Run("application", func(t *testing.T) { endAtEvery(t, e, addition) })
		})
	}
}

// end is how a request ends.
type end struct {
	before bool // the server has not done its work
	kills  bool // the program is gone
}

// work is what a command does.
type work struct {
	catalog catalog.Catalog
	do      func(context.Context, catalog.Catalog) error
	want    func(when string) // the state when nothing came between
	undo    func()
}

// creation is what lockstep create environment qa --from staging does.
func creation(t *testing.T, server *gittest.Server) work {
	source := server.Create("staging", gittest.Files{"Chart.yaml": chart, ".lockstep/holds.json": "{}"})
	qa, environments := server.Create("qa", nil), server.Create("environments", gittest.Files{path: head + staging})
	first := environments.Head("main")
	return work{
		catalog: in(environments),
		do: func(ctx context.Context, c catalog.Catalog) error {
			env := environment.Environment{Name: "qa", Repository: qa.URL, Path: "."}
			if _, err := c.Ensure(ctx, env, catalog.Source{Name: "staging", URL: source.URL, Path: "."}, catalog.Hosting{}); err != nil {
				return err
			}
			_, err := c.Add(ctx, "qa", "staging", entry("qa"))
			return err
		},
		want: func(when string) { wantCreated(t, when, qa.Dir, environments.Dir) },
		undo: func() {
			qa.Git("update-ref", "-d", "refs/heads/main")
			environments.Git("update-ref", "refs/heads/main", first)
		},
	}
}

// addition is what lockstep add application does.
func addition(t *testing.T, server *gittest.Server) work {
	web := server.Create("web", gittest.Files{"main.go": "package main\n"})
	environments := server.Create("environments", gittest.Files{path: head + staging})
	first := environments.Head("main")
	return work{
		catalog: in(environments),
		do: func(ctx context.Context, c catalog.Catalog) error {
			_, err := c.AddApplication(ctx, catalog.ApplicationRequest{Name: "web", Keys: build(web.URL, "web")})
			return err
		},
		want: func(when string) {
			if got := environments.File("main", catalog.ApplicationsFile); got != noApplications+written(web.URL, "web") {
				t.Errorf("%s: %s is\n%s", when, catalog.ApplicationsFile, got)
			}
			if commits := environments.Git("rev-list", "--count", "main"); commits != "2" {
				t.Errorf("%s: %s commits, want 2", when, commits)
			}
		},
		undo: func() { environments.Git("update-ref", "refs/heads/main", first) },
	}
}

func endAtEvery(t *testing.T, e end, begin func(*testing.T, *gittest.Server) work) {
	server := gittest.NewInProcessServer(t)
	w := begin(t, server)
	var n, k atomic.Int64
	var kill context.CancelFunc
	at := func(r *http.Request) bool {
		if n.Add(1) != k.Load() {
			return false
		}
		if e.kills {
			_, _ = io.Copy(io.Discard, r.Body) // a server hears that the client is gone only behind the body
			kill()
			<-r.Context().Done()
		}
		return true
	}
	if e.before {
		server.Before(gittest.Status(-1, http.StatusInternalServerError, at))
	} else {
		server.LoseAnswers(-1, at)
	}
	w.catalog.Open = func(url string) (*git.Remote, error) {
		return git.NewRemote(url, git.Access{RetryFor: time.Millisecond})
	}
	run := func() error {
		var ctx context.Context
		ctx, kill = context.WithTimeout(t.Context(), time.Minute)
		defer kill()
		return w.do(ctx, w.catalog)
	}
	for reached := true; reached; {
		if n.Store(0); k.Add(1) > most {
			t.Fatalf("it takes more than %d requests", most)
		}
		_ = run() // it may fail, or have had another try
		if reached = n.Load() >= k.Load(); reached {
			if err := run(); err != nil {
				t.Fatalf("request %d: the repetition: %v", k.Load(), err)
			}
		}
		w.want(fmt.Sprintf("request %d", k.Load()))
		w.undo()
	}
}

// wantCreated wants the state of a creation that nothing came between.
func wantCreated(t *testing.T, when, qa, environments string) {
	t.Helper()
	wantFilled(t, when, qa)
	const added = "- name: qa\n  repository: https://git.example.com/acme/qa.git\n  namespace: qa"
	if got := gittest.Git(t, environments, "show", "main:"+path); got != head+staging+added {
		t.Errorf("%s: %s is\n%s", when, path, got)
	}
	if commits := gittest.Git(t, environments, "rev-list", "--count", "main"); commits != "2" {
		t.Errorf("%s: %s commits of %s, want 2", when, commits, path)
	}
}

// wantFilled wants staging's chart, by one commit, and nothing else.
func wantFilled(t *testing.T, when, qa string) {
	t.Helper()
	if got := gittest.Git(t, qa, "show", "main:Chart.yaml"); got+"\n" != strings.Replace(chart, "staging", "qa", 1) {
		t.Errorf("%s: the chart is\n%s", when, got)
	}
	if got := gittest.Git(t, qa, "ls-tree", "-r", "--name-only", "main"); got != "Chart.yaml" {
		t.Errorf("%s: its files are %q", when, got)
	}
	if commits := gittest.Git(t, qa, "rev-list", "--count", "--all"); commits != "1" {
		t.Errorf("%s: %s commits in its repository, want 1", when, commits)
	}
}

// TestRow17_EveryRequestToAForge is the same for what a forge is asked beside Git, with
// a real Gitea that makes and protects the repository.
func TestRow17_EveryRequestToAForge(t *testing.T) {
	t.Parallel()
	gitea := giteatest.Start(t)
	source := gitea.Repository("staging", gittest.Files{"Chart.yaml": chart, ".lockstep/holds.json": "{}"})
	for name, e := range map[string]end{"fails": {before: true}, "never-tells": {}} {
		t.Run(name, func(t *testing.T) { failAtEvery(t, gitea, source, name, e) })
	}
}

func failAtEvery(t *testing.T, gitea *giteatest.Server, source, name string, e end) {
	target, err := url.Parse(gitea.URL)
	if err != nil {
		t.Fatal(err)
	}
	var n, k atomic.Int64
	proxy := httptest.NewServer(failingAt(httputil.NewSingleHostReverseProxy(target), &n, &k, e))
	defer proxy.Close()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".git-credentials"), []byte(withLogin(proxy.URL)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := catalog.Catalog{
		Author: git.Signature{Name: "Tester", Email: "tester@example.com"},
		Open: func(url string) (*git.Remote, error) {
			return git.NewRemote(url, git.Access{RetryFor: time.Millisecond, BasicAuth: home})
		},
	}
	for reached := true; reached; {
		if n.Store(0); k.Add(1) > most {
			t.Fatalf("a repository takes more than %d requests", most)
		}
		qa := fmt.Sprintf("%s/%s-%d", giteatest.User, name, k.Load())
		run := func() error {
			env := environment.Environment{Name: "qa", Repository: proxy.URL + "/" + qa + ".git", Path: "."}
			_, err := c.Ensure(t.Context(), env, catalog.Source{Name: "staging", URL: source, Path: "."}, catalog.Hosting{Kind: forge.Gitea, Protect: true})
			return err
		}
		err := run() // it may fail, or have had another try
		if reached = n.Load() >= k.Load(); reached {
			err = run()
		}
		if err != nil {
			t.Fatalf("request %d: the repetition: %v", k.Load(), err)
		}
		wantFilled(t, fmt.Sprintf("request %d", k.Load()), mirror(t, gitea.URL+"/"+qa+".git"))
		var rules []struct { // of the branch itself, Gitea cannot tell so soon
			Name string `json:"rule_name"`
		}
		if gitea.API(http.MethodGet, "repos/"+qa+"/branch_protections", nil, &rules); len(rules) != 1 || rules[0].Name != "main" {
			t.Errorf("request %d: protected are %v", k.Load(), rules)
		}
	}
}

// failingAt is a handler whose k-th request to the forge's interface fails.
func failingAt(h http.Handler, n, k *atomic.Int64, e end) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/api/") || n.Add(1) != k.Load():
			h.ServeHTTP(w, r)
		case e.before:
			w.WriteHeader(http.StatusInternalServerError)
		default:
			h.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
	})
}

func withLogin(url string) string {
	return strings.Replace(url, "://", "://"+giteatest.User+":"+giteatest.Password+"@", 1)
}

// mirror is a copy of what the forge has.
func mirror(t *testing.T, url string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mirror")
	gittest.Git(t, "", "clone", "-q", "--mirror", withLogin(url), dir)
	return dir
}
