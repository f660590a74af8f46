package forge_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// remote is a repository as a program reaches it that has not looked whether it
// is there.
type remote struct{ url, user, password string }

func (r remote) Page() string { return r.url }
func (r remote) Credential() (user, password string, ok bool, err error) {
	return r.user, r.password, true, nil
}
func (remote) RoundTripper() (http.RoundTripper, error) { return http.DefaultTransport, nil }

const person, personPassword = "jane", "canary-jane-canary"

// TestGiteaRepository creates repositories on a real Gitea, gives them webhooks,
// protects their branches and deletes them, each of it twice.
func TestGiteaRepository(t *testing.T) {
	server := giteatest.Start(t)
	server.API(http.MethodPost, "orgs", map[string]any{"username": "acme"}, nil)
	server.API(http.MethodPost, "admin/users", map[string]any{
		"username": person, "email": "jane@example.com", "password": personPassword, "must_change_password": false,
	}, nil)
	own := creating(t, server, giteatest.User, true)
	creating(t, server, "acme", false)
	refused(t, server)
	racing(t, server)

	r := openRepository(t, forge.Options{URL: own, Credential: login})
	protecting(t, server, r, "release/next") // is not there yet
	server.Push(own, "main", "one", gittest.Files{"Chart.yaml": "a: 1\n"})
	protecting(t, server, r, "main")
	pushing(t, server, own, "main")
	pushing(t, server, own, "release/next")
	keeping(t, server, r, own)
	hooking(t, server, r, own)
	renaming(t, server)
	for range 2 {
		if err := r.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.RemoveWebhook(t.Context(), "https://hooks.example.com"); err != nil {
		t.Errorf("remove a webhook of what is no more: %v", err)
	}
	if _, err := r.EnsureWebhook(t.Context(), forge.Webhook{URL: "https://hooks.example.com", Secret: "canary"}); fault.Of(err).Reason != "ForgeNotFound" {
		t.Errorf("a webhook for what is no more: %v", err)
	}
}

func creating(t *testing.T, server *giteatest.Server, owner string, private bool) (url string) {
	t.Helper()
	url = server.URL + "/" + owner + "/environment-staging.git"
	for _, first := range []bool{true, false} {
		created, err := forge.CreateRepository(t.Context(), remote{url, giteatest.User, giteatest.Password}, "", private)
		if err != nil || created != first {
			t.Fatalf("created %v, want %v: %v", created, first, err)
		}
	}
	var got struct {
		Empty   bool   `json:"empty"`
		Private bool   `json:"private"`
		Branch  string `json:"default_branch"`
	}
	server.API(http.MethodGet, "repos/"+owner+"/environment-staging", nil, &got)
	if !got.Empty || got.Private != private || got.Branch != "main" {
		t.Errorf("of %s: %+v", owner, got)
	}
	return url
}

// refused: nobody gets a repository elsewhere than where the URL says.
func refused(t *testing.T, server *giteatest.Server) {
	t.Helper()
	for url, c := range map[string]struct {
		user, password, reason, hint string
	}{
		"/jane/environment.git":   {giteatest.User, giteatest.Password, "ForgeNotFound", "owner"},
		"/nobody/environment.git": {person, personPassword, "ForgeNotFound", "owner"},
		"/acme/environment.git":   {person, personPassword, "ForgePermissionDenied", "write:organization"},
		"/jane/environment":       {person, "canary-wrong", "ForgeAuthenticationFailed", "token"},
	} {
		created, err := forge.CreateRepository(t.Context(), remote{server.URL + url, c.user, c.password}, forge.Gitea, true)
		f := fault.Of(err)
		if created || f.Reason != c.reason || f.Kind != fault.KindRefused || !strings.Contains(f.Hint, c.hint) || !strings.Contains(err.Error(), url[:8]) {
			t.Errorf("%s as %s: %v, %s (%s): %v", url, c.user, created, f.Reason, f.Hint, err)
		}
	}
}

// racing: of several that create it at the same time, one does and none fails.
func racing(t *testing.T, server *giteatest.Server) {
	t.Helper()
	var all errgroup.Group
	var made atomic.Int32
	for range 6 {
		all.Go(func() error {
			created, err := forge.CreateRepository(t.Context(), remote{server.URL + "/jane/raced.git", person, personPassword}, forge.Gitea, true)
			if created {
				made.Add(1)
			}
			return err
		})
	}
	if err := all.Wait(); err != nil || made.Load() != 1 {
		t.Errorf("%d made it: %v", made.Load(), err)
	}
}

func protecting(t *testing.T, server *giteatest.Server, r *forge.Repository, branch string) {
	t.Helper()
	for _, first := range []bool{true, false} {
		changed, err := r.Protect(t.Context(), branch)
		if err != nil || changed != first {
			t.Errorf("protecting %s changed %v, want %v: %v", branch, changed, first, err)
		}
	}
}

// keeping: a rule that people made for several branches is enough, and stays as
// it is.
func keeping(t *testing.T, server *giteatest.Server, r *forge.Repository, url string) {
	t.Helper()
	server.Push(url, "by-people", "one", gittest.Files{"Chart.yaml": "a: 1\n"})
	path := "repos/" + giteatest.User + "/environment-staging/branch_protections"
	server.API(http.MethodPost, path, map[string]any{"rule_name": "by-*", "enable_push": false}, nil)
	if changed, err := r.Protect(t.Context(), "by-people"); changed || err != nil {
		t.Errorf("changed %v: %v", changed, err)
	}
	var rules []any
	if server.API(http.MethodGet, path, nil, &rules); len(rules) != 3 {
		t.Errorf("rules: %v", rules)
	}
}

// pushing: a push that adds a commit goes through; by force, or to delete the
// branch, not even the owner's. The default branch nobody can delete anyway.
func pushing(t *testing.T, server *giteatest.Server, url, branch string) {
	t.Helper()
	server.Push(url, branch, "two", gittest.Files{"Chart.yaml": "a: 2\n", branch: "two"})
	dir := t.TempDir()
	remote := strings.Replace(url, "://", "://"+giteatest.User+":"+giteatest.Password+"@", 1)
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Tester", "-c", "user.email=tester@example.com"}, args...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := git("clone", "-q", "-b", branch, remote, "."); err != nil {
		t.Fatal(out)
	}
	if out, err := git("commit", "-q", "--amend", "-m", "another past"); err != nil {
		t.Fatal(out)
	}
	if out, err := git("push", "-q", "--force", "origin", "HEAD:"+branch); err == nil || !strings.Contains(out, "protected") {
		t.Errorf("by force: %v %s", err, out)
	}
	if out, err := git("push", "-q", "origin", ":"+branch); err == nil || !strings.Contains(out, "protected") && branch != "main" {
		t.Errorf("deleting: %v %s", err, out)
	}
}

type giteaHook struct {
	ID     int64
	Active bool
	Events []string
	Config map[string]string
}

// hooking has a push signed with the newest secret, and leaves others' webhooks
// alone.
func hooking(t *testing.T, server *giteatest.Server, r *forge.Repository, url string) {
	t.Helper()
	heard := newListener(t)
	path := "repos/" + giteatest.User + "/environment-staging/hooks"
	other := map[string]any{"type": "gitea", "active": false, "events": []string{"issues"}, "config": map[string]string{"url": "https://other.example.com", "content_type": "form"}}
	server.API(http.MethodPost, path, other, nil)
	for _, c := range []struct {
		before  func()
		hook    forge.Webhook
		changed bool
	}{
		{nil, forge.Webhook{Secret: "canary-one"}, true},
		{nil, forge.Webhook{Secret: "canary-one"}, false},
		{nil, forge.Webhook{Secret: "canary-two", Replace: true}, true},
		{func() { // deaf, by hand
			for _, h := range hooksOf(server, path, heard.URL) {
				server.API(http.MethodPatch, path+"/"+itoa(h.ID), map[string]any{"active": false}, nil)
			}
		}, forge.Webhook{Secret: "canary-three"}, true},
		{func() { // one that would do, and one in the form that browsers send
			again := map[string]any{"type": "gitea", "active": true, "events": []string{"push"}, "config": map[string]string{"url": heard.URL, "content_type": "form"}}
			server.API(http.MethodPost, path, again, nil)
		}, forge.Webhook{Secret: "canary-three"}, true},
		{nil, forge.Webhook{Secret: "canary-three"}, false},
	} {
		if c.before != nil {
			c.before()
		}
		c.hook.URL = heard.URL
		changed, err := r.EnsureWebhook(t.Context(), c.hook)
		if err != nil || changed != c.changed {
			t.Errorf("%+v changed %v: %v", c.hook, changed, err)
		}
		of := hooksOf(server, path, heard.URL)
		if len(of) != 1 || !of[0].Active || of[0].Config["content_type"] != "json" || strings.Join(of[0].Events, " ") != "push" {
			t.Errorf("%+v left %+v", c.hook, of)
		}
	}
	server.Push(url, "main", "three", gittest.Files{"Chart.yaml": "a: 3\n"})
	heard.await(t, "canary-three")
	for range 2 {
		if err := r.RemoveWebhook(t.Context(), heard.URL); err != nil {
			t.Error(err)
		}
	}
	if of := hooksOf(server, path, heard.URL); len(of) != 0 {
		t.Errorf("removed, but %+v", of)
	}
	if of := hooksOf(server, path, "https://other.example.com"); len(of) != 1 || of[0].Active {
		t.Errorf("another's webhook: %+v", of)
	}
}

func hooksOf(server *giteatest.Server, path, url string) []giteaHook {
	var all, of []giteaHook
	server.API(http.MethodGet, path, nil, &all)
	for _, h := range all {
		if h.Config["url"] == url {
			of = append(of, h)
		}
	}
	return of
}

// listener hears a webhook.
type listener struct {
	*httptest.Server
	heard chan delivery
}

type delivery struct {
	header http.Header
	body   []byte
}

func newListener(t *testing.T) listener {
	l := listener{heard: make(chan delivery, 10)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		l.heard <- delivery{r.Header, body}
	}))
	t.Cleanup(l.Close)
	return l
}

// await waits for the push of the commit three. Gitea sends in the background,
// earlier pushes too to a webhook that was not there yet.
func (l listener) await(t *testing.T, secret string) {
	t.Helper()
	for end := time.After(30 * time.Second); ; {
		var d delivery
		select {
		case d = <-l.heard:
		case <-end:
			t.Error("the push was not heard")
			return
		}
		if !strings.Contains(string(d.body), `"message": "three\n"`) {
			continue
		}
		sum := hmac.New(sha256.New, []byte(secret))
		sum.Write(d.body)
		if want := "sha256=" + hex.EncodeToString(sum.Sum(nil)); d.header.Get("X-Hub-Signature-256") != want {
			t.Errorf("signed %s, want %s", d.header.Get("X-Hub-Signature-256"), want)
		}
		if d.header.Get("Content-Type") != "application/json" || d.header.Get("X-GitHub-Event") != "push" {
			t.Errorf("heard %v", d.header)
		}
		return
	}
}

// renaming: what a former name leads to is not deleted, and does not keep a new
// repository from having that name.
func renaming(t *testing.T, server *giteatest.Server) {
	t.Helper()
	at := remote{server.URL + "/acme/environment-staging.git", giteatest.User, giteatest.Password}
	server.API(http.MethodPatch, "repos/acme/environment-staging", map[string]any{"name": "renamed"}, nil)
	r := openRepository(t, forge.Options{URL: at.url, Credential: login})
	if err := r.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	server.API(http.MethodGet, "repos/acme/renamed", nil, nil)
	if created, err := forge.CreateRepository(t.Context(), at, "", true); err != nil || !created {
		t.Errorf("created %v: %v", created, err)
	}
}
