package registry_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

const canary = "c4nary-p4ssword"

func client(t *testing.T, a registry.Access) *registry.Client {
	t.Helper()
	c, err := registry.New(a)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// archive is a minimal chart; text makes its content differ.
func archive(t *testing.T, name, version, text string) registry.Archive {
	t.Helper()
	content, err := registrytest.Archive([]tar.Header{
		{Name: name + "/Chart.yaml", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: name + "/text", Typeflag: tar.TypeReg, Mode: 0o644},
	}, []string{fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %q\n", name, version), text})
	if err != nil {
		t.Fatal(err)
	}
	return registry.Archive{Name: name, Version: version, Content: content, Metadata: []byte(`{"name":"` + name + `"}`)}
}

// login writes a Docker config.json for a host.
func login(t *testing.T, host, user, password string) string {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, host, user, password)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// repositories are one of each kind.
func repositories(t *testing.T) map[string]string {
	return map[string]string{
		"oci":    "oci://" + registrytest.New(t).Host() + "/charts",
		"museum": registrytest.NewMuseum(t).URL,
		"gitea":  registrytest.NewMuseum(t).URL + "/api/packages/acme/helm",
		"folder": "file://" + t.TempDir(),
	}
}

func TestPushFindDownload(t *testing.T) {
	ctx := context.Background()
	for kind, repository := range repositories(t) {
		t.Run(kind, func(t *testing.T) {
			c, a := client(t, registry.Access{}), archive(t, "user-service", "1.2.3+build.5", "one")
			pushed, err := c.PushChart(ctx, repository, a)
			if err != nil || pushed.Existed || !strings.HasPrefix(pushed.Digest, "sha256:") {
				t.Fatalf("%+v, %v", pushed, err)
			}
			again, err := c.PushChart(ctx, repository, a)
			if err != nil || !again.Existed || again.Digest != pushed.Digest || again.URL != pushed.URL {
				t.Errorf("pushed again: %+v, %v", again, err)
			}
			_, err = c.PushChart(ctx, repository, archive(t, "user-service", "1.2.3+build.5", "two"))
			if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "VersionExists" {
				t.Errorf("other content under a published version: %v", err)
			}
			if kind == "folder" {
				return
			}
			ref := registry.ChartRef{Repository: repository, Name: "user-service", Version: "1.2.3+build.5"}
			found, err := c.FindChart(ctx, ref)
			if err != nil || found.URL != pushed.URL || found.Digest != pushed.Digest && kind != "gitea" {
				t.Errorf("found %+v, %v", found, err)
			}
			ref.Version = "9.9.9"
			if _, err := c.FindChart(ctx, ref); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("a version that is not there: %v", err)
			}
			ref.Name = "nobody"
			if _, err := c.FindChart(ctx, ref); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("a chart that is not there: %v", err)
			}
		})
	}
}

// TestPushRace has two runs of the same commit publish at once: one of them
// finds the version after it looked.
func TestPushRace(t *testing.T) {
	museum := registrytest.NewMuseum(t)
	a := archive(t, "user-service", "1.2.3", "one")
	var first atomic.Bool
	museum.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && first.CompareAndSwap(false, true) {
			if _, err := client(t, registry.Access{}).PushChart(context.Background(), museum.URL, a); err != nil {
				t.Error(err)
			}
		}
		return false
	})
	pushed, err := client(t, registry.Access{}).PushChart(context.Background(), museum.URL, a)
	if err != nil || !pushed.Existed {
		t.Errorf("%+v, %v", pushed, err)
	}
}

func TestOneHeadFindsAVersion(t *testing.T) {
	oci := registrytest.New(t)
	c := client(t, registry.Access{})
	repository := "oci://" + oci.Host() + "/charts"
	if _, err := c.PushChart(context.Background(), repository, archive(t, "a", "1.0.0", "")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.FindChart(context.Background(), registry.ChartRef{Repository: repository, Name: "a", Version: "1.0.0"}); err != nil {
		t.Fatal(err)
	}
	requests := oci.Requests()
	if last := requests[len(requests)-1]; last != "HEAD /v2/charts/a/manifests/1.0.0" {
		t.Errorf("the last request was %s", last)
	}
}

func TestAnImageIsNoChart(t *testing.T) {
	oci := registrytest.New(t)
	if _, err := registrytest.PushBase(oci.Host()+"/charts/a:1.0.0", ""); err != nil {
		t.Fatal(err)
	}
	_, err := client(t, registry.Access{}).LocateCharts(context.Background(), registry.ChartRef{Repository: "oci://" + oci.Host() + "/charts", Name: "a", Version: "1.0.0"})
	if f := fault.Of(err); f.Reason != "NotAChart" {
		t.Errorf("%v", err)
	}
}

func TestRow28_ServerErrorsAreRepeated(t *testing.T) {
	ctx := context.Background()
	for kind, server := range map[string]*registrytest.Server{"oci": registrytest.New(t), "museum": registrytest.NewMuseum(t)} {
		t.Run(kind, func(t *testing.T) {
			repository := server.URL
			if kind == "oci" {
				repository = "oci://" + server.Host() + "/charts"
			}
			a := archive(t, "a", "1.0.0", "")
			if _, err := client(t, registry.Access{}).PushChart(ctx, repository, a); err != nil {
				t.Fatal(err)
			}
			failures := 0
			server.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if failures++; failures > 3 {
					return false
				}
				w.Header().Set("Retry-After", "0")
				http.Error(w, "busy", []int{503, 429, 502}[failures-1])
				return true
			})
			ref := registry.ChartRef{Repository: repository, Name: "a", Version: "1.0.0"}
			if _, err := client(t, registry.Access{}).FindChart(ctx, ref); err != nil {
				t.Errorf("after three failures: %v", err)
			}
			server.Before(func(w http.ResponseWriter, r *http.Request) bool {
				http.Error(w, "down for good, token="+canary, http.StatusServiceUnavailable)
				return true
			})
			_, err := client(t, registry.Access{Patience: -1}).FindChart(ctx, ref)
			if f := fault.Of(err); f.Kind != fault.KindRetryable || f.Reason != "RegistryUnavailable" || errors.Is(err, registry.ErrNotFound) {
				t.Errorf("a server that is down: %v", err)
			}
		})
	}
}

// TestRow42_CredentialsStayHome: an index on one host names an archive on
// another one, which redirects to a third.
func TestRow42_CredentialsStayHome(t *testing.T) {
	home, away, far := registrytest.NewMuseum(t), registrytest.NewMuseum(t), registrytest.NewMuseum(t)
	a := archive(t, "a", "1.0.0", "")
	home.RequireLogin("robot", canary)
	answer := func(s *registrytest.Server, f func(w http.ResponseWriter)) {
		s.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Authorization") != "" {
				t.Errorf("%s was sent credentials", r.Host)
			}
			f(w)
			return true
		})
	}
	home.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if _, password, _ := r.BasicAuth(); password != canary {
			return false
		}
		fmt.Fprintf(w, "entries:\n  a:\n  - version: 1.0.0\n    urls:\n    - %s/a-1.0.0.tgz\n", away.URL)
		return true
	})
	answer(away, func(w http.ResponseWriter) {
		w.Header().Set("Location", strings.Replace(far.URL, "127.0.0.1", "localhost", 1)+"/a.tgz")
		w.WriteHeader(http.StatusFound)
	})
	answer(far, func(w http.ResponseWriter) { _, _ = w.Write(a.Content) })

	c := client(t, registry.Access{DockerConfig: login(t, home.Host(), "robot", canary)})
	found, err := c.LocateCharts(context.Background(), registry.ChartRef{Repository: home.URL, Name: "a", Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DownloadChart(context.Background(), found[0]); err != nil {
		t.Error(err)
	}
}

func TestPlainHTTPNeedsLeave(t *testing.T) {
	ctx := context.Background()
	c := client(t, registry.Access{Patience: -1})
	_, err := c.FindChart(ctx, registry.ChartRef{Repository: "http://charts.example.com", Name: "a", Version: "1.0.0"})
	if f := fault.Of(err); f.Kind != fault.KindUsage || f.Reason != "PlainHTTPRefused" || !strings.Contains(f.Hint, "charts.example.com") {
		t.Errorf("plain HTTP without leave: %v", err)
	}
	// A redirect does not open another way to it.
	museum := registrytest.NewMuseum(t)
	museum.Before(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "http://charts.example.com/index.yaml", http.StatusFound)
		return true
	})
	_, err = c.FindChart(ctx, registry.ChartRef{Repository: museum.URL, Name: "a", Version: "1.0.0"})
	if f := fault.Of(err); f.Reason != "PlainHTTPRefused" {
		t.Errorf("plain HTTP after a redirect: %v", err)
	}
}

func TestRow46_CredentialsNeverShow(t *testing.T) {
	ctx := context.Background()
	for kind, server := range map[string]*registrytest.Server{"oci": registrytest.New(t), "museum": registrytest.NewMuseum(t)} {
		t.Run(kind, func(t *testing.T) {
			// A server that repeats what it was sent, as some do in their errors.
			server.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Authorization") == "" {
					return false
				}
				_, password, _ := r.BasicAuth()
				http.Error(w, "no: "+password+" "+r.Header.Get("Authorization"), http.StatusForbidden)
				return true
			})
			server.RequireLogin("robot", "another")
			repository := server.URL
			if kind == "oci" {
				repository = "oci://" + server.Host() + "/charts"
			}
			c := client(t, registry.Access{DockerConfig: login(t, server.Host(), "robot", canary)})
			_, errFind := c.FindChart(ctx, registry.ChartRef{Repository: repository, Name: "a", Version: "1.0.0"})
			_, errPush := c.PushChart(ctx, repository, archive(t, "a", "1.0.0", ""))
			for _, err := range []error{errFind, errPush} {
				f := fault.Of(err)
				if f.Kind != fault.KindRefused || f.Reason != "RegistryAccessDenied" {
					t.Errorf("403: %v", err)
				}
				if text := f.Error() + f.Hint; strings.Contains(text, canary) || strings.Contains(text, "cm9ib3Q6") {
					t.Errorf("the password shows in %q", text)
				}
			}
			host := strings.TrimPrefix(strings.TrimPrefix(repository, "oci://"), "http://")
			scheme := strings.TrimSuffix(repository, host)
			_, err := c.FindChart(ctx, registry.ChartRef{Repository: scheme + "robot:" + canary + "@" + host, Name: "a", Version: "1.0.0"})
			if f := fault.Of(err); f.Kind != fault.KindUsage || strings.Contains(f.Error()+f.Hint, canary) {
				t.Errorf("credentials in a URL: %v", err)
			}
		})
	}
}

func TestCredentialsFile(t *testing.T) {
	for what, path := range map[string]string{
		"a file that is not there": filepath.Join(t.TempDir(), "config.json"),
		"a folder without it":      t.TempDir(),
	} {
		_, err := registry.New(registry.Access{DockerConfig: path})
		if f := fault.Of(err); f.Kind != fault.KindUsage || f.Reason != "CredentialsUnreadable" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestFindDockerConfig(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("HOME", t.TempDir())
	if got := registry.FindDockerConfig("", ""); got != "" {
		t.Errorf("found %q where there is none", got)
	}
	creds := t.TempDir()
	if err := os.Rename(login(t, "h", "u", "p"), filepath.Join(creds, ".docker")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", login(t, "h", "u", "p"))
	if got := registry.FindDockerConfig("", creds); got != filepath.Join(creds, ".docker") {
		t.Errorf("Tekton's credentials do not come first: %q", got)
	}
	if got := registry.FindDockerConfig("", ""); got != os.Getenv("DOCKER_CONFIG") {
		t.Errorf("DOCKER_CONFIG is not used: %q", got)
	}
	if got := registry.FindDockerConfig("given", creds); got != "given" {
		t.Errorf("the given path is not used: %q", got)
	}
}

func TestCancelledReadsEndAtOnce(t *testing.T) {
	museum := registrytest.NewMuseum(t)
	ctx, cancel := context.WithCancel(context.Background())
	museum.Before(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusServiceUnavailable)
		cancel()
		return true
	})
	start := time.Now()
	_, err := client(t, registry.Access{}).FindChart(ctx, registry.ChartRef{Repository: museum.URL, Name: "a", Version: "1.0.0"})
	if !errors.Is(err, context.Canceled) || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}
