package chart_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/downloader"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/repo"
	"sigs.k8s.io/yaml"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

const placeholder = "oci://registry.example.com/charts"

// TestExamples publishes the example services, moves the example environments
// to that registry, and renders both forms to the same objects.
func TestExamples(t *testing.T) {
	repository := "oci://" + registrytest.New(t).Host() + "/charts"
	for _, name := range []string{"user-service", "billing-service"} {
		dir := filepath.Join("../../examples", name, "charts", name)
		p, err := chart.Package(context.Background(), dir, chart.PackageOptions{Version: "2.3.118", AppVersion: "2.3.118"})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Warnings) > 0 {
			t.Errorf("%s: the linter warns: %v", name, p.Warnings)
		}
		if _, err := chart.Push(context.Background(), p, repository, registry.Access{}); err != nil {
			t.Fatal(err)
		}
	}
	first := render(t, moved(t, "environment-staging", repository, "requirements.yaml", "requirements.lock"))
	second := render(t, moved(t, "environment-staging-v2", repository, "Chart.yaml", "Chart.lock"))
	for _, object := range []string{"name: staging-user\n", "name: staging-billing\n", "http://staging-user/healthz", "registry.example.com/acme/billing-service:2.3.118"} {
		if !strings.Contains(first, object) {
			t.Errorf("the environment does not render %q", object)
		}
	}
	if first != second {
		t.Error("the two forms of the environment render differently")
	}
}

// TestExampleLocks reads the environments as they are in the repository: their
// locks fit.
func TestExampleLocks(t *testing.T) {
	for dir, names := range map[string][2]string{
		"environment-staging":    {"requirements.yaml", "requirements.lock"},
		"environment-staging-v2": {"Chart.yaml", "Chart.lock"},
	} {
		wanted, locked := list(t, filepath.Join("../../examples", dir, names[0])), list(t, filepath.Join("../../examples", dir, names[1]))
		digest, err := chart.LockDigest(wanted.Dependencies, locked.Dependencies)
		if err != nil || digest != locked.Digest {
			t.Errorf("%s has digest %s, its dependencies give %s (%v)", names[1], locked.Digest, digest, err)
		}
	}
}

type dependencyList struct {
	Dependencies []*chart.Dependency `json:"dependencies"`
	Digest       string              `json:"digest"`
}

func list(t *testing.T, path string) dependencyList {
	t.Helper()
	var l dependencyList
	if err := yaml.Unmarshal(text(t, path), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// moved is a copy of an example environment whose charts come from another
// repository, with the lock kept in step by the room that edits.
func moved(t *testing.T, example, repository, file, lock string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("../../examples", example))); err != nil {
		t.Fatal(err)
	}
	before := text(t, filepath.Join(dir, file))
	replace(t, filepath.Join(dir, file), placeholder, repository)
	locked, err := edit.Relock(text(t, filepath.Join(dir, lock)), before, text(t, filepath.Join(dir, file)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, lock), locked, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func text(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func replace(t *testing.T, path, old, new string) {
	t.Helper()
	if err := os.WriteFile(path, bytes.ReplaceAll(text(t, path), []byte(old), []byte(new)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// render is what Helm would apply as the release staging.
func render(t *testing.T, dir string) string {
	t.Helper()
	c, err := chart.Load(context.Background(), dir, chart.Options{Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := chartutil.ProcessDependenciesWithMerge(c, c.Values); err != nil {
		t.Fatal(err)
	}
	values, err := chartutil.ToRenderValues(c, nil, chartutil.ReleaseOptions{Name: "staging", Namespace: "acme-staging"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := engine.Render(c, values)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range []string{"user", "billing"} {
		for _, file := range []string{"deployment.yaml", "service.yaml", "tests/healthz.yaml"} {
			fmt.Fprintln(&all, rendered["environment-staging/charts/"+name+"/templates/"+file])
		}
	}
	return all.String()
}

// TestHelmAcceptsOurLockDigest lets Helm's own dependency manager judge.
func TestHelmAcceptsOurLockDigest(t *testing.T) {
	museum := registrytest.NewMuseum(t)
	publish(t, museum.URL, "user-service", "1.2.3")
	entry := []*helmchart.Dependency{{Name: "user-service", Alias: "user", Version: "^1.2.0", Repository: museum.URL, Tags: []string{"a"}}}
	locked := []*helmchart.Dependency{{Name: "user-service", Version: "1.2.3", Repository: museum.URL}}
	digest, err := chart.LockDigest(entry, locked)
	if err != nil {
		t.Fatal(err)
	}
	files := umbrella("- {name: user-service, alias: user, version: ^1.2.0, repository: \"" + museum.URL + "\", tags: [a]}\n")
	files["Chart.lock"] = lockText(digest, "user-service", "1.2.3", museum.URL)
	dir := write(t, files)

	settings := cli.New()
	settings.RepositoryConfig = filepath.Join(t.TempDir(), "repositories.yaml")
	settings.RepositoryCache = t.TempDir()
	known := repo.NewFile()
	known.Update(&repo.Entry{Name: "museum", URL: museum.URL})
	if err := known.WriteFile(settings.RepositoryConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	manager := &downloader.Manager{
		Out: &out, ChartPath: dir, Getters: getter.All(settings),
		RepositoryConfig: settings.RepositoryConfig, RepositoryCache: settings.RepositoryCache,
	}
	if err := manager.Build(); err != nil {
		t.Fatalf("helm dependency build: %v\n%s", err, out.String())
	}
	// What Helm vendored is what we accept as fitting the lock.
	if _, err := chart.Load(context.Background(), dir, chart.Options{}); err != nil {
		t.Error(err)
	}
}

func lockText(digest, name, version, repository string) string {
	return "dependencies:\n- name: " + name + "\n  repository: " + repository + "\n  version: " + version +
		"\ndigest: " + digest + "\ngenerated: \"2026-01-05T09:00:00Z\"\n"
}
