package forge_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
)

// fixtures are answers of the real forges as the module go-scm publishes them.
func fixture(t *testing.T, driver, name string) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/drone/go-scm").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "scm", "driver", driver, "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// host answers each "METHOD path" with a text, and keeps what it was asked.
type host struct {
	*httptest.Server
	answers map[string]string
	refuses map[string]int // with this code instead
	asked   []string
	queries string
	auth    string
}

func newHost(t *testing.T, answers map[string]string) *host {
	h := &host{answers: answers}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		key := r.Method + " " + r.URL.EscapedPath()
		h.asked, h.auth = append(h.asked, strings.TrimSpace(key+" "+string(body))), r.Header.Get("Authorization")
		h.queries += r.URL.RawQuery
		if code, ok := h.refuses[key]; ok {
			http.Error(w, `{"message":"refused"}`, code)
			return
		}
		text, ok := h.answers[key]
		if !ok {
			http.Error(w, `{"message":"no such page"}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, text)
	}))
	t.Cleanup(h.Close)
	return h
}

func token() (user, password string, ok bool, err error) { return "", "canary-token", true, nil }

// TestFixtures reads, edits, merges and closes requests, and sets statuses, with
// published answers of the forges that do not run on this machine.
func TestFixtures(t *testing.T) {
	for _, c := range []struct {
		kind                 forge.Kind
		driver               string
		request              string // the file with a request
		path                 string // of the repository
		api                  string // of its requests
		number               int
		more                 map[string]string
		merge, close, status string // what is asked last
	}{
		{
			kind: forge.GitHub, driver: "github", request: "pr.json", path: "octocat/hello-world",
			api: "/api/v3/repos/octocat/hello-world/pulls", number: 1347,
			more: map[string]string{
				"PUT /api/v3/repos/octocat/hello-world/pulls/1347/merge": "{}", "PATCH /api/v3/repos/octocat/hello-world/pulls/1347": "{}",
				"POST /api/v3/repos/octocat/hello-world/statuses/c0ffee": fixture(t, "github", "status.json"),
			},
			merge:  `PUT /api/v3/repos/octocat/hello-world/pulls/1347/merge {"merge_method":"squash","sha":"6dcb09b5b57875f334f61aebed695e2e4193db5e"}`,
			close:  `PATCH /api/v3/repos/octocat/hello-world/pulls/1347 {"state":"closed"}`,
			status: `POST /api/v3/repos/octocat/hello-world/statuses/c0ffee {"created_at":"0001-01-01T00:00:00Z","updated_at":"0001-01-01T00:00:00Z","state":"success","target_url":"https://ci.example.com/1","description":"verified","context":"lockstep/staging"}`,
		},
		{
			kind: forge.GitLab, driver: "gitlab", request: "merge.json", path: "diaspora/group/diaspora",
			api: "/api/v4/projects/diaspora%2Fgroup%2Fdiaspora/merge_requests", number: 1,
			more: map[string]string{
				"PUT /api/v4/projects/diaspora%2Fgroup%2Fdiaspora/merge_requests/1/merge": "{}",
				"PUT /api/v4/projects/diaspora%2Fgroup%2Fdiaspora/merge_requests/1":       "{}",
				"POST /api/v4/projects/diaspora%2Fgroup%2Fdiaspora/statuses/c0ffee":       fixture(t, "gitlab", "status.json"),
			},
			merge:  `PUT /api/v4/projects/diaspora%2Fgroup%2Fdiaspora/merge_requests/1/merge {"sha":"12d65c8dd2b2676fa3ac47d955accc085a37a9c1","squash":true}`,
			close:  `PUT /api/v4/projects/diaspora%2Fgroup%2Fdiaspora/merge_requests/1 {"state_event":"close"}`,
			status: `POST /api/v4/projects/diaspora%2Fgroup%2Fdiaspora/statuses/c0ffee {"description":"verified","name":"lockstep/staging","state":"success","target_url":"https://ci.example.com/1"}`,
		},
		{
			kind: forge.Bitbucket, driver: "bitbucket", request: "pr.json", path: "atlassian/atlaskit",
			api: "/2.0/repositories/atlassian/atlaskit/pullrequests", number: 4982,
			more: map[string]string{
				"GET /2.0/repositories/atlassian/atlaskit/pullrequests/4982/statuses":    `{"values":[]}`,
				"POST /2.0/repositories/atlassian/atlaskit/pullrequests/4982/merge":      "{}",
				"POST /2.0/repositories/atlassian/atlaskit/pullrequests/4982/decline":    "{}",
				"POST /2.0/repositories/atlassian/atlaskit/commit/c0ffee/statuses/build": fixture(t, "bitbucket", "status.json"),
			},
			merge:  `POST /2.0/repositories/atlassian/atlaskit/pullrequests/4982/merge {"merge_strategy":"squash","type":"pullrequest"}`,
			close:  `POST /2.0/repositories/atlassian/atlaskit/pullrequests/4982/decline`,
			status: `POST /2.0/repositories/atlassian/atlaskit/commit/c0ffee/statuses/build {"state":"SUCCESSFUL","key":"lockstep/staging","name":"lockstep/staging","url":"https://ci.example.com/1","description":"verified"}`,
		},
		{
			kind: forge.BitbucketServer, driver: "stash", request: "pr.json", path: "scm/prj/my-repo",
			api: "/rest/api/1.0/projects/prj/repos/my-repo/pull-requests", number: 1,
			more: map[string]string{
				"GET /rest/api/1.0/projects/prj/repos/my-repo/pull-requests/1/merge":    `{"canMerge":true}`,
				"POST /rest/api/1.0/projects/prj/repos/my-repo/pull-requests/1/merge":   "{}",
				"POST /rest/api/1.0/projects/prj/repos/my-repo/pull-requests/1/decline": "{}",
				"POST /rest/build-status/1.0/commits/c0ffee":                            "",
			},
			merge:  `POST /rest/api/1.0/projects/prj/repos/my-repo/pull-requests/1/merge {"strategyId":"squash"}`,
			close:  `POST /rest/api/1.0/projects/prj/repos/my-repo/pull-requests/1/decline`,
			status: `POST /rest/build-status/1.0/commits/c0ffee {"state":"SUCCESSFUL","key":"lockstep/staging","name":"lockstep/staging","url":"https://ci.example.com/1","description":"verified"}`,
		},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			c.more[fmt.Sprintf("GET %s/%d", c.api, c.number)] = fixture(t, c.driver, c.request)
			h := newHost(t, c.more)
			r := openRepository(t, forge.Options{URL: h.URL + "/" + c.path + ".git", Kind: c.kind, Credential: token})
			got, err := r.Get(t.Context(), c.number)
			if err != nil || got.Number != c.number || got.Title == "" || got.Branch == "" || got.Base == "" || got.Head == "" || !strings.HasPrefix(got.URL, "http") {
				t.Fatalf("read %+v, %v", got, err)
			}
			if h.auth != "Bearer canary-token" {
				t.Errorf("a token without a user came as %q", h.auth)
			}
			if err := r.Merge(t.Context(), got, forge.Squash); err != nil || h.asked[len(h.asked)-1] != c.merge {
				t.Errorf("merge asked %s, want %s: %v", h.asked[len(h.asked)-1], c.merge, err)
			}
			if err := r.Close(t.Context(), got); err != nil || h.asked[len(h.asked)-1] != c.close {
				t.Errorf("close asked %s, want %s: %v", h.asked[len(h.asked)-1], c.close, err)
			}
			s := forge.Status{Context: "lockstep/staging", Success: true, Text: "verified", URL: "https://ci.example.com/1"}
			if err := r.SetStatus(t.Context(), "c0ffee", s); err != nil || h.asked[len(h.asked)-1] != c.status {
				t.Errorf("the status asked %s, want %s: %v", h.asked[len(h.asked)-1], c.status, err)
			}
		})
	}
}

func TestKindIsAskedOfTheHost(t *testing.T) {
	for kind, answers := range map[forge.Kind]map[string]string{
		forge.GitLab:          {"GET /api/v4/version": `{"version":"18.0.0","revision":"abc"}`},
		forge.GitHub:          {"GET /api/v3/meta": `{"installed_version":"3.18.0"}`},
		forge.BitbucketServer: {"GET /rest/api/1.0/application-properties": `{"version":"9.4","buildNumber":"9004"}`},
	} {
		h := newHost(t, answers)
		path := "/acme/environment.git"
		if kind == forge.BitbucketServer {
			path = "/scm/acme/environment.git"
		}
		if r := openRepository(t, forge.Options{URL: h.URL + path}); r.Kind() != kind {
			t.Errorf("%s was taken for %s", kind, r.Kind())
		}
	}
	_, err := forge.Open(t.Context(), forge.Options{URL: newHost(t, nil).URL + "/acme/environment.git"})
	if f := fault.Of(err); f.Reason != "UnknownForge" || f.Kind != fault.KindUsage || !strings.Contains(f.Hint, "gitlab") {
		t.Errorf("a host that is none: %+v", f)
	}
}

// TestRow42_ForgeCredentialStaysHome: another host, to which a forge or somebody in
// between sends us, sees no credential, and no text holds it.
func TestRow42_ForgeCredentialStaysHome(t *testing.T) {
	elsewhere := newHost(t, nil)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/pulls/1"):
			http.Redirect(w, r, elsewhere.URL+"/stolen", http.StatusFound)
		case strings.HasSuffix(r.URL.Path, "/pulls/3"): // repeated words are cut in the middle of the token
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"message":"%s %s"}`, strings.Repeat("no", 143), r.Header.Get("Authorization"))
		default:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"message":"no, %s"}`, r.Header.Get("Authorization"))
		}
	}))
	defer h.Close()
	r := openRepository(t, forge.Options{URL: h.URL + "/acme/environment", Kind: forge.GitHub, Credential: token})
	if _, err := r.Get(t.Context(), 1); err == nil || fault.Of(err).Kind != fault.KindRefused {
		t.Errorf("redirected: %v", err)
	}
	if len(elsewhere.asked) > 0 {
		t.Errorf("another host was asked %v with %q", elsewhere.asked, elsewhere.auth)
	}
	_, err := r.Get(t.Context(), 2)
	if f := fault.Of(err); f.Reason != "ForgePermissionDenied" || strings.Contains(err.Error(), "canary-token") {
		t.Errorf("refused: %s: %v", f.Reason, err)
	}
	if _, err := r.Get(t.Context(), 3); err == nil || strings.Contains(err.Error(), "cana") {
		t.Errorf("refused in many words: %v", err)
	}
}

// TestRow08_BusyForge: a forge that is busy says for how long.
func TestRow08_BusyForge(t *testing.T) {
	n := 0
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n < 3 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		fmt.Fprint(w, `{"number":7,"state":"open","mergeable_state":"clean"}`)
	}))
	defer h.Close()
	r := openRepository(t, forge.Options{URL: h.URL + "/acme/environment", Kind: forge.GitHub, Credential: token})
	start := time.Now()
	got, err := r.Get(t.Context(), 7)
	if took := time.Since(start); err != nil || !got.Ready || n != 3 || took < 2*time.Second {
		t.Errorf("got %+v after %d questions in %s: %v", got, n, took, err)
	}
	h.Close()
	_, err = r.Get(t.Context(), 7)
	if _, down := errors.AsType[*url.Error](err); !down || fault.Of(err).Reason != "ForgeUnavailable" {
		t.Errorf("out of reach: %v", err)
	}
}

func TestHugeAnswer(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 9 << 10 {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	}))
	defer h.Close()
	r := openRepository(t, forge.Options{URL: h.URL + "/acme/environment", Kind: forge.GitHub})
	if _, err := r.Get(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "larger than 8 MiB") {
		t.Errorf("got %v", err)
	}
}
