package forge_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// theirs are the forges that do not run on this machine. Repositories and
// webhooks are their published answers; the short ones were written here after
// their documentation.
var theirs = []struct {
	kind   forge.Kind
	driver string
	path   string // of the repository in its URL
	home   string // of the repository in the interface

	more    map[string]string
	create  []string // what is asked
	hooks   string   // path
	list    string   // file with a webhook that hears too much
	address string   // its URL
	id      string
	add     string // what creates a webhook of this URL
	right   string // a list with one that is right, in the place of %s: its URL
	deaf    string // the same one, not active

	open, protected map[string]string // branches before and after
	protect         []string          // what is asked
}{
	{
		kind: forge.GitHub, driver: "github", path: "octocat/hello-world", home: "/api/v3/repos/octocat/hello-world",
		more: map[string]string{"GET /api/v3/user": "user.json", "POST /api/v3/user/repos": "repo.json"},
		create: []string{
			`POST /api/v3/orgs/octocat/repos {"name":"hello-world","private":true}`,
			`GET /api/v3/user`, `POST /api/v3/user/repos {"name":"hello-world","private":true}`,
		},
		hooks: "/hooks", list: "hooks.json", address: "http://example.com/webhook", id: "1",
		add:   `{"name":"web","events":["push"],"active":true,"config":{"url":"http://example.com/webhook","secret":"canary-hook/s","content_type":"json"}}`,
		right: `[{"id":1,"name":"web","active":true,"events":["push"],"config":{"url":"%s","content_type":"json"}}]`,
		deaf:  `[{"id":1,"name":"web","active":false,"events":["push"],"config":{"url":"%s","content_type":"json"}}]`,
		open:  map[string]string{"GET /api/v3/repos/octocat/hello-world/branches/main": `{"name":"main","protected":false}`}, protected: map[string]string{"GET /api/v3/repos/octocat/hello-world/branches/main": `{"name":"main","protected":true}`},
		protect: []string{`PUT /api/v3/repos/octocat/hello-world/branches/main/protection {"allow_deletions":false,"allow_force_pushes":false,"enforce_admins":true,"required_pull_request_reviews":null,"required_status_checks":null,"restrictions":null}`},
	},
	{
		kind: forge.GitLab, driver: "gitlab", path: "diaspora/diaspora", home: "/api/v4/projects/diaspora%2Fdiaspora",
		more:   map[string]string{"GET /api/v4/namespaces/diaspora": `{"id":120836,"path":"diaspora","kind":"group","full_path":"diaspora"}`, "POST /api/v4/projects": "repo.json"},
		create: []string{`GET /api/v4/namespaces/diaspora`, `POST /api/v4/projects {"name":"diaspora","namespace_id":120836,"path":"diaspora","visibility":"private"}`},
		hooks:  "/hooks", list: "hooks.json", address: "http://example.com/hook", id: "1",
		add:   `{"push_events":true,"token":"canary-hook/s","url":"http://example.com/hook"}`,
		right: `[{"id":1,"url":"%s","push_events":true,"tag_push_events":false,"new_events":false,"alert_status":"executable"}]`,
		deaf:  `[{"id":1,"url":"%s","push_events":true,"tag_push_events":false,"alert_status":"disabled"}]`,
		open:  map[string]string{"GET /api/v4/projects/diaspora%2Fdiaspora/protected_branches": `[{"name":"mai.*"},{"name":"stable"}]`}, protected: map[string]string{"GET /api/v4/projects/diaspora%2Fdiaspora/protected_branches": `[{"name":"stable"},{"name":"m*n"}]`},
		protect: []string{`POST /api/v4/projects/diaspora%2Fdiaspora/protected_branches {"allow_force_push":false,"merge_access_level":30,"name":"main","push_access_level":30}`},
	},
	{
		kind: forge.Bitbucket, driver: "bitbucket", path: "atlassian/stash-example-plugin", home: "/2.0/repositories/atlassian/stash-example-plugin",
		more:   map[string]string{"POST /2.0/repositories/atlassian/stash-example-plugin": "repo.json"},
		create: []string{`POST /2.0/repositories/atlassian/stash-example-plugin {"is_private":true,"scm":"git"}`},
		hooks:  "/hooks", list: "hooks.json", address: "http://example.com/webhook", id: "%7Bd53603cc-3f67-45ea-b310-aaa5ef6ec061%7D",
		add:   `{"active":true,"description":"lockstep","events":["repo:push"],"secret":"canary-hook/s","url":"http://example.com/webhook"}`,
		right: `{"values":[{"uuid":"{d53603cc-3f67-45ea-b310-aaa5ef6ec061}","url":"%s","active":true,"events":["repo:push"]}]}`,
		deaf:  `{"values":[{"uuid":"{d53603cc-3f67-45ea-b310-aaa5ef6ec061}","url":"%s","active":false,"events":["repo:push"]}]}`,
		open: map[string]string{"GET /2.0/repositories/atlassian/stash-example-plugin/branch-restrictions": `{"values":[
			{"kind":"force","branch_match_kind":"glob","pattern":"other"},{"kind":"push","branch_match_kind":"glob","pattern":"main"}]}`},
		protected: map[string]string{"GET /2.0/repositories/atlassian/stash-example-plugin/branch-restrictions": `{"values":[
			{"kind":"force","branch_match_kind":"glob","pattern":"main"},{"kind":"delete","branch_match_kind":"glob","pattern":"main"}]}`},
		protect: []string{
			`POST /2.0/repositories/atlassian/stash-example-plugin/branch-restrictions {"branch_match_kind":"glob","kind":"force","pattern":"main"}`,
			`POST /2.0/repositories/atlassian/stash-example-plugin/branch-restrictions {"branch_match_kind":"glob","kind":"delete","pattern":"main"}`,
		},
	},
	{
		kind: forge.BitbucketServer, driver: "stash", path: "scm/prj/my-repo", home: "/rest/api/1.0/projects/prj/repos/my-repo",
		more:   map[string]string{"POST /rest/api/1.0/projects/prj/repos": "repo.json"},
		create: []string{`POST /rest/api/1.0/projects/prj/repos {"defaultBranch":"main","name":"my-repo","public":false,"scmId":"git"}`},
		hooks:  "/webhooks", list: "webhooks.json", address: "http://example.com", id: "1",
		add:   `{"name":"lockstep","events":["repo:refs_changed"],"url":"http://example.com","active":true,"configuration":{"secret":"canary-hook/s"}}`,
		right: `{"isLastPage":true,"values":[{"id":1,"url":"%s","active":true,"events":["repo:refs_changed"]}]}`,
		deaf:  `{"isLastPage":true,"values":[{"id":1,"url":"%s","active":false,"events":["repo:refs_changed"]}]}`,
		open:  map[string]string{"GET /rest/branch-permissions/2.0/projects/prj/repos/my-repo/restrictions": `{"isLastPage":true,"values":[{"type":"no-deletes"}]}`},
		protected: map[string]string{
			"GET /rest/branch-permissions/2.0/projects/prj/repos/my-repo/restrictions": `{"isLastPage":true,"values":[{"type":"no-deletes"},{"type":"fast-forward-only"}]}`},
		protect: []string{`POST /rest/branch-permissions/2.0/projects/prj/repos/my-repo/restrictions {"groups":[],"matcher":{"active":true,"displayId":"main","id":"refs/heads/main","type":{"id":"BRANCH","name":"Branch"}},"type":"fast-forward-only","users":[]}`},
	},
}

const hookSecret = "canary-hook/s"

// TestRepositoryFixtures creates, protects and deletes repositories with
// published answers, and asks for nothing twice.
func TestRepositoryFixtures(t *testing.T) {
	for _, c := range theirs {
		t.Run(string(c.kind), func(t *testing.T) {
			h := newHost(t, map[string]string{"DELETE " + c.home: "", "PUT " + c.home + "/branches/main/protection": "{}"})
			for key, text := range c.more {
				h.answers[key] = text
				if strings.HasSuffix(text, ".json") {
					h.answers[key] = fixture(t, c.driver, text)
				}
			}
			at := remote{h.URL + "/" + c.path + ".git", "", "canary-token"}
			created, err := forge.CreateRepository(t.Context(), at, c.kind, true)
			if want := append([]string{"GET " + c.home}, c.create...); !created || err != nil || !slices.Equal(h.asked, want) {
				t.Errorf("created %v by asking %q, want %q: %v", created, h.asked, want, err)
			}
			h.answers["GET "+c.home] = fixture(t, c.driver, "repo.json")
			h.asked = nil
			if created, err := forge.CreateRepository(t.Context(), at, c.kind, true); created || err != nil || len(h.asked) != 1 {
				t.Errorf("created %v again by asking %q: %v", created, h.asked, err)
			}

			r := openRepository(t, forge.Options{URL: at.url, Kind: c.kind, Credential: token})
			protectingTheirs(t, h, r, c.open, c.protected, c.protect)

			h.asked = nil
			if err := r.Delete(t.Context()); err != nil || h.asked[len(h.asked)-1] != "DELETE "+c.home {
				t.Errorf("deleting asked %q: %v", h.asked, err)
			}
			delete(h.answers, "GET "+c.home)
			h.asked = nil
			if err := r.Delete(t.Context()); err != nil || len(h.asked) != 1 {
				t.Errorf("deleting again asked %q: %v", h.asked, err)
			}
		})
	}
}

func protectingTheirs(t *testing.T, h *host, r *forge.Repository, open, protected map[string]string, want []string) {
	t.Helper()
	for key, text := range open {
		h.answers[key] = text
	}
	for _, w := range want {
		key := strings.Join(strings.SplitN(w, " ", 3)[:2], " ")
		h.answers[key] = "{}"
	}
	h.asked = nil
	if changed, err := r.Protect(t.Context(), "main"); !changed || err != nil {
		t.Errorf("changed %v: %v", changed, err)
	}
	var did []string
	for _, asked := range h.asked {
		if !strings.HasPrefix(asked, "GET ") {
			did = append(did, asked)
		}
	}
	if !slices.Equal(did, want) {
		t.Errorf("protecting asked %q, want %q", did, want)
	}
	for key, text := range protected {
		h.answers[key] = text
	}
	h.asked = nil
	if changed, err := r.Protect(t.Context(), "main"); changed || err != nil {
		t.Errorf("again: changed %v: %v", changed, err)
	}
	for _, asked := range h.asked {
		if !strings.HasPrefix(asked, "GET ") {
			t.Errorf("again: asked %q", asked)
		}
	}
}

// TestWebhookFixtures: one that hears too much is replaced, one that is right is
// left alone unless told otherwise, and the secret stands in no URL.
func TestWebhookFixtures(t *testing.T) {
	for _, c := range theirs {
		t.Run(string(c.kind), func(t *testing.T) {
			list, add, remove := "GET "+c.home+c.hooks, "POST "+c.home+c.hooks, "DELETE "+c.home+c.hooks+"/"+c.id
			h := newHost(t, map[string]string{add: "{}", remove: ""})
			r := openRepository(t, forge.Options{URL: h.URL + "/" + c.path, Kind: c.kind, Credential: token})
			replaced := []string{list, remove, add + " " + c.add}
			for name, s := range map[string]struct {
				hooks   string
				replace bool
				changed bool
				asked   []string
			}{
				"none":          {fmt.Sprintf(c.right, "https://other.example.com"), false, true, []string{list, add + " " + c.add}},
				"other events":  {fixture(t, c.driver, c.list), false, true, replaced},
				"not active":    {fmt.Sprintf(c.deaf, c.address), false, true, replaced},
				"right":         {fmt.Sprintf(c.right, c.address), false, false, []string{list}},
				"right, anew":   {fmt.Sprintf(c.right, c.address), true, true, replaced},
				"others', anew": {fmt.Sprintf(c.right, c.address+"/other"), true, true, []string{list, add + " " + c.add}},
			} {
				h.answers[list], h.asked = s.hooks, nil
				changed, err := r.EnsureWebhook(t.Context(), forge.Webhook{URL: c.address, Secret: hookSecret, Replace: s.replace})
				if err != nil || changed != s.changed || !slices.Equal(h.asked, s.asked) {
					t.Errorf("%s: changed %v by asking %q, want %q: %v", name, changed, h.asked, s.asked, err)
				}
			}
			h.answers[list], h.asked = fixture(t, c.driver, c.list), nil
			if err := r.RemoveWebhook(t.Context(), c.address); err != nil || !slices.Equal(h.asked, []string{list, remove}) {
				t.Errorf("removing asked %q: %v", h.asked, err)
			}
			h.asked = nil
			if err := r.RemoveWebhook(t.Context(), c.address+"/other"); err != nil || !slices.Equal(h.asked, []string{list}) {
				t.Errorf("removing what is not there asked %q: %v", h.asked, err)
			}
			if strings.Contains(h.queries, "canary") {
				t.Errorf("the secret is in a URL: %s", h.queries)
			}
		})
	}
}

// TestWebhookPages: a webhook is found behind others, and there is an end to
// looking.
func TestWebhookPages(t *testing.T) {
	for most, reason := range map[int]string{3: "", 1000: "ForgeRefused"} {
		asked := 0
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			page, err := strconv.Atoi(r.URL.Query().Get("page"))
			if err != nil || r.Method != http.MethodGet {
				t.Errorf("%s %s: %v", r.Method, r.URL, err)
			}
			var hooks []string
			for n := range 50 {
				hooks = append(hooks, fmt.Sprintf(`{"id":%d,"name":"web","active":true,"events":["push"],"config":{"url":"https://hooks.example.com/%d","content_type":"json"}}`, 50*page+n, 50*page+n))
			}
			if page >= most {
				hooks = hooks[:7]
			}
			fmt.Fprintf(w, "[%s]", strings.Join(hooks, ","))
		}))
		defer h.Close()
		r := openRepository(t, forge.Options{URL: h.URL + "/acme/environment", Kind: forge.GitHub, Credential: token})
		changed, err := r.EnsureWebhook(t.Context(), forge.Webhook{URL: "https://hooks.example.com/156", Secret: hookSecret})
		if changed || fault.Of(err).Reason != reason || asked > 40 {
			t.Errorf("of %d pages %d were asked for; changed %v: %v", most, asked, changed, err)
		}
	}
}

// TestNameTaken: what somebody else created meanwhile is there; a name that is in
// use by what cannot be seen is an error that says so.
func TestNameTaken(t *testing.T) {
	codes := map[forge.Kind]int{forge.GitHub: 422, forge.GitLab: 400, forge.Bitbucket: 400, forge.BitbucketServer: 409}
	for _, c := range theirs {
		for _, visible := range []bool{true, false} {
			posted := false
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost:
					posted = true
					http.Error(w, `{"message":"the name is in use"}`, codes[c.kind])
				case strings.Contains(r.URL.Path, "/namespaces/"):
					fmt.Fprint(w, `{"id":1}`)
				case posted && visible:
					fmt.Fprint(w, fixture(t, c.driver, "repo.json"))
				default:
					http.Error(w, `{}`, http.StatusNotFound)
				}
			}))
			created, err := forge.CreateRepository(t.Context(), remote{h.URL + "/" + c.path, "", "canary-token"}, c.kind, true)
			h.Close()
			f := fault.Of(err)
			if created || !posted || visible && err != nil {
				t.Errorf("%s: created %v: %v", c.kind, created, err)
			}
			if !visible && (f.Reason != "ForgeRefused" || f.Kind != fault.KindRefused || !strings.Contains(f.Hint, "in use") || !strings.Contains(err.Error(), "the name is in use")) {
				t.Errorf("%s: %s (%s): %v", c.kind, f.Reason, f.Hint, err)
			}
		}
	}
}

// TestGitLabKeepsForAWhile: a project that waits for its deletion is neither
// there nor deleted again.
func TestGitLabKeepsForAWhile(t *testing.T) {
	text := strings.Replace(fixture(t, "gitlab", "repo.json"), "{", `{"marked_for_deletion_on":"2026-12-01",`, 1)
	h := newHost(t, map[string]string{"GET /api/v4/projects/diaspora%2Fdiaspora": text})
	r := openRepository(t, forge.Options{URL: h.URL + "/diaspora/diaspora", Kind: forge.GitLab, Credential: token})
	if err := r.Delete(t.Context()); err != nil || len(h.asked) != 1 {
		t.Errorf("asked %q: %v", h.asked, err)
	}
}

// TestRepositoryRights: who may not is told what the token lacks.
func TestRepositoryRights(t *testing.T) {
	for _, c := range theirs {
		h := newHost(t, map[string]string{"GET /api/v4/namespaces/diaspora": `{"id":1}`})
		h.refuses = map[string]int{
			"DELETE " + c.home: 403, "GET " + c.home + c.hooks: 403, "POST " + c.home + c.hooks: 403,
			"POST /api/v3/orgs/octocat/repos": 403,
		}
		for _, asked := range slices.Concat(c.create, c.protect) {
			if key := strings.Join(strings.SplitN(asked, " ", 3)[:2], " "); !strings.HasPrefix(key, "GET ") {
				h.refuses[key] = 403
			}
		}
		for key, text := range c.open {
			h.answers[key] = text
		}
		at := remote{h.URL + "/" + c.path, "", "canary-token"}
		r := openRepository(t, forge.Options{URL: at.url, Kind: c.kind, Credential: token})
		check := func(what string, err error) {
			f := fault.Of(err)
			if f.Reason != "ForgePermissionDenied" || f.Kind != fault.KindRefused || len(f.Hint) < 50 || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), at.url) {
				t.Errorf("%s: %s: %s (%s): %v", c.kind, what, f.Reason, f.Hint, err)
			}
		}
		_, err := forge.CreateRepository(t.Context(), at, c.kind, true)
		check("create", err)
		_, err = r.Protect(t.Context(), "main")
		check("protect", err)
		h.answers["GET "+c.home] = fixture(t, c.driver, "repo.json")
		check("delete", r.Delete(t.Context()))
		_, err = r.EnsureWebhook(t.Context(), forge.Webhook{URL: c.address, Secret: hookSecret})
		check("webhook", err)
		check("remove", r.RemoveWebhook(t.Context(), c.address))
	}
}

// TestRow46_WebhookSecret: a forge that repeats what it was told, cut anywhere and
// with slashes as some write them, does not bring the secret into a text.
func TestRow46_WebhookSecret(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)
	for _, c := range theirs {
		for _, said := range []int{http.StatusUnprocessableEntity, http.StatusTooManyRequests} {
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					fmt.Fprint(w, map[bool]string{true: "[]", false: `{"values":[],"isLastPage":true}`}[c.kind == forge.GitHub || c.kind == forge.GitLab])
					return
				}
				told, err := io.ReadAll(r.Body)
				if err != nil || !strings.Contains(string(told), hookSecret) {
					t.Errorf("told %s: %v", told, err)
				}
				w.WriteHeader(said)
				fmt.Fprintf(w, `{"errors":[{"value":"%s\/s %s"},"%s",%s]}`, strings.TrimSuffix(hookSecret, "/s"), hookSecret, strings.Repeat("x", 230), told)
			}))
			r := openRepository(t, forge.Options{URL: h.URL + "/" + c.path, Kind: c.kind, Credential: token})
			_, err := r.EnsureWebhook(t.Context(), forge.Webhook{URL: c.address + "?token=" + hookSecret, Secret: hookSecret})
			h.Close()
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v", c.kind, err)
			}
		}
	}
	if !strings.Contains(log.String(), "try again") || strings.Contains(log.String(), "canary") {
		t.Errorf("logged %s", log.String())
	}
}

// TestWebhookSecretIsNotCut: of a text that is cut within the secret, no part of it
// is left.
func TestWebhookSecretIsNotCut(t *testing.T) {
	padding := 0
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, "[]")
			return
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprintf(w, `{"message":"%s %s"}`, strings.Repeat("x", padding), hookSecret)
	}))
	defer h.Close()
	r := openRepository(t, forge.Options{URL: h.URL + "/acme/environment", Kind: forge.GitLab, Credential: token})
	for padding = 280; padding < 300; padding++ {
		if _, err := r.EnsureWebhook(t.Context(), forge.Webhook{URL: "https://hooks.example.com", Secret: hookSecret}); err == nil || strings.Contains(err.Error(), "cana") {
			t.Errorf("after %d characters: %v", padding, err)
		}
	}
}

// TestGitLabBranch: GitLab itself says that a branch is protected, in whatever way.
func TestGitLabBranch(t *testing.T) {
	h := newHost(t, map[string]string{"GET /api/v4/projects/diaspora%2Fdiaspora/repository/branches/release%2Fnext": `{"name":"release/next","protected":true}`})
	r := openRepository(t, forge.Options{URL: h.URL + "/diaspora/diaspora", Kind: forge.GitLab, Credential: token})
	if changed, err := r.Protect(t.Context(), "release/next"); changed || err != nil || len(h.asked) != 1 {
		t.Errorf("changed %v by asking %q: %v", changed, h.asked, err)
	}
}

func TestWebhookAsked(t *testing.T) {
	r := openRepository(t, forge.Options{URL: "https://git.example.com/acme/environment", Kind: forge.Gitea})
	for _, w := range []forge.Webhook{{URL: "hooks.example.com", Secret: "s"}, {URL: "ftp://hooks.example.com", Secret: "s"}, {URL: "https://hooks.example.com"}} {
		if _, err := r.EnsureWebhook(t.Context(), w); fault.Of(err).Kind != fault.KindUsage {
			t.Errorf("%s: %v", w.URL, err)
		}
	}
}
