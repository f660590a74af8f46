package chart_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

// write lays out a folder from "path: content" pairs.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// service is a small chart that passes the linter.
func service(name, version string) map[string]string {
	return map[string]string{
		"Chart.yaml":               "apiVersion: v2\nname: " + name + "\nversion: " + version + "\nappVersion: \"" + version + "\"\ndescription: serves\nicon: https://example.com/icon.svg\n",
		"values.yaml":              "image:\n  repository: example.com/none # set when packaged\n  digest: \"\"\n",
		"templates/configmap.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-{{ .Chart.Name }}\ndata:\n  image: {{ .Values.image.repository }}\n",
	}
}

func pack(t *testing.T, files map[string]string, opts chart.PackageOptions) chart.Packaged {
	t.Helper()
	if opts.Cache == "" {
		opts.Cache = t.TempDir()
	}
	p, err := chart.Package(context.Background(), write(t, files), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func publish(t *testing.T, repository, name, version string) registry.Pushed {
	t.Helper()
	pushed, err := chart.Push(context.Background(), pack(t, service(name, version), chart.PackageOptions{}), repository, registry.Access{})
	if err != nil {
		t.Fatal(err)
	}
	return pushed
}

// refuses checks kind, reason and words of a refusal.
func refuses(t *testing.T, err error, sentinel error, reason string, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("it was accepted")
	}
	if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != reason {
		t.Errorf("kind %d reason %q of %v, want a refusal %q", f.Kind, f.Reason, err, reason)
	}
	if sentinel != nil && !errors.Is(err, sentinel) {
		t.Errorf("%v is not %v", err, sentinel)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func load(t *testing.T, files map[string]string) (*chart.Chart, error) {
	t.Helper()
	return chart.Load(context.Background(), write(t, files), chart.Options{Cache: t.TempDir()})
}

func umbrella(dependencies string) map[string]string {
	return map[string]string{"Chart.yaml": "apiVersion: v2\nname: environment\nversion: 0.1.0\ndependencies:\n" + dependencies}
}

func TestLoadFetchesFromEveryKindOfRepository(t *testing.T) {
	oci, museum := registrytest.New(t), registrytest.NewMuseum(t)
	publish(t, "oci://"+oci.Host()+"/charts", "user-service", "2.3.118")
	publish(t, museum.URL, "billing-service", "2.3.118")
	publish(t, museum.URL, "mail-service", "1.0.0")
	before := museum.Count("index.yaml")

	c, err := load(t, umbrella(
		"- {name: user-service, alias: user, version: 2.3.118, repository: \"oci://"+oci.Host()+"/charts\"}\n"+
			"- {name: billing-service, alias: billing, version: 2.3.118, repository: "+museum.URL+"}\n"+
			"- {name: mail-service, version: 1.0.0, repository: "+museum.URL+"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, sub := range c.Dependencies() {
		names = append(names, sub.Name()+" "+sub.Metadata.Version)
	}
	if got := strings.Join(names, ", "); got != "user-service 2.3.118, billing-service 2.3.118, mail-service 1.0.0" {
		t.Errorf("loaded %s", got)
	}
	if read := museum.Count("index.yaml") - before; read != 1 {
		t.Errorf("the index was read %d times for two charts", read)
	}
}

func TestLoadUsesTheCache(t *testing.T) {
	oci := registrytest.New(t)
	publish(t, "oci://"+oci.Host()+"/charts", "user-service", "2.3.118")
	dir := write(t, umbrella("- {name: user-service, version: 2.3.118, repository: \"oci://"+oci.Host()+"/charts\"}\n"))
	opts := chart.Options{Cache: t.TempDir()}
	for range 2 {
		if _, err := chart.Load(context.Background(), dir, opts); err != nil {
			t.Fatal(err)
		}
	}
	if n := oci.Count("GET /v2/charts/user-service/blobs/"); n != 1 {
		t.Errorf("the archive was fetched %d times", n)
	}
}
