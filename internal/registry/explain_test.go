package registry_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

// TestReasonsNameTheCause: what a person is told to do depends on what it was.
func TestReasonsNameTheCause(t *testing.T) {
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>sign in</html>"))
		}
	}
	encrypted := httptest.NewTLSServer(page(http.StatusOK))
	t.Cleanup(encrypted.Close)
	plain := httptest.NewServer(page(http.StatusOK))
	t.Cleanup(plain.Close)
	web := httptest.NewServer(page(http.StatusNotFound))
	t.Cleanup(web.Close)
	login := registrytest.New(t)
	login.RequireLogin("robot", "secret")
	helper := t.TempDir()
	if err := os.WriteFile(filepath.Join(helper, "config.json"), []byte(`{"credsStore":"lockstep-none"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	for name, c := range map[string]struct {
		repository string
		access     registry.Access
		kind       fault.Kind
		reason     string
		words      string // of error and hint
	}{
		"an unknown certificate":         {encrypted.URL, registry.Access{}, fault.KindRefused, "RegistryCertificateUntrusted", "ca-file"},
		"plain HTTP where TLS is wanted": {"https://" + host(plain), registry.Access{}, fault.KindRefused, "RegistryWithoutTLS", "insecure"},
		"no server":                      {"http://127.0.0.1:1", registry.Access{}, fault.KindRetryable, "RegistryUnavailable", "127.0.0.1:1"},
		"a web page":                     {"oci://" + host(web) + "/charts", registry.Access{}, fault.KindRefused, "NotARegistry", host(web)},
		"a sign-in page":                 {plain.URL, registry.Access{}, fault.KindRefused, "IndexInvalid", "chart repository"},
		"no credentials":                 {"oci://" + login.Host() + "/charts", registry.Access{}, fault.KindRetryable, "RegistryAuthenticationFailed", "No credentials for " + login.Host()},
		"wrong credentials":              {"oci://" + login.Host() + "/charts", registry.Access{DockerConfig: loginAs(t, login.Host())}, fault.KindRetryable, "RegistryAuthenticationFailed", "Check the entry of " + login.Host()},
		"a helper that fails":            {"oci://" + login.Host() + "/charts", registry.Access{DockerConfig: helper}, fault.KindRetryable, "CredentialsUnreadable", "credential helper"},
	} {
		t.Run(name, func(t *testing.T) {
			c.access.Patience = -1
			_, err := client(t, c.access).LocateCharts(context.Background(), registry.ChartRef{Repository: c.repository, Name: "a", Version: "1.0.0"})
			f := fault.Of(err)
			if f.Kind != c.kind || f.Reason != c.reason || !strings.Contains(f.Error()+f.Hint, c.words) {
				t.Errorf("kind %d, %s: %v\nhint: %s", f.Kind, f.Reason, err, f.Hint)
			}
		})
	}
}

func loginAs(t *testing.T, host string) string { return login(t, host, "robot", "wrong") }

// TestPushingToNoRepository: nothing is "not published" there.
func TestPushingToNoRepository(t *testing.T) {
	museum := registrytest.NewMuseum(t)
	museum.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			http.NotFound(w, r)
			return true
		}
		return false
	})
	_, err := client(t, registry.Access{Patience: -1}).PushChart(context.Background(), museum.URL, archive(t, "a", "1.0.0", ""))
	if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "RepositoryNotFound" {
		t.Errorf("%s: %v", f.Reason, err)
	}
}

// TestASourceThatCannotBeRead is not a disk that is full.
func TestASourceThatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "app"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(folder, "app")
	oci := registrytest.New(t)
	base, err := registrytest.PushBase(oci.Host()+"/base:1", "")
	if err != nil {
		t.Fatal(err)
	}
	oci.Before(func(http.ResponseWriter, *http.Request) bool { // between listing and reading
		_ = os.Remove(gone)
		return false
	})
	_, err = client(t, registry.Access{}).BuildImage(context.Background(), registry.ImageOptions{Base: base, Folder: folder, Files: []string{"app:/app"}})
	if f := fault.Of(err); f.Reason != "FilesUnreadable" || strings.Contains(f.Hint, "TMPDIR") {
		t.Errorf("%s: %v\nhint: %s", f.Reason, err, f.Hint)
	}
}
