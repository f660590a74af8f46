// Package helmtest holds what this module computes against Helm itself. It is a
// package of its own because Helm is too large to be instrumented for fuzzing.
package helmtest

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/downloader"
	"helm.sh/helm/v3/pkg/getter"

	"github.com/lockstep-cd/lockstep/internal/edit"
)

// An environment whose charts stand beside it, so that Helm resolves them
// without a network. Everything that enters the digest appears: alias,
// condition, tags, import-values, characters that JSON escapes.
const (
	chartV2 = "apiVersion: v2\nname: env\nversion: 0.1.0\n"
	entries = `dependencies:
- name: web
  alias: front   # the users' door
  version: 2.3.118
  repository: file://../web
  condition: front.enabled
  tags: [a, "<b>"]
  import-values: [data, {child: x, parent: y}]
- name: api
  alias: back
  version: ">=1.0.0 <2"
  repository: file://../api
- {name: api, version: 1.0.0, repository: file://../api}
`
)

// environment writes the chart with its dependencies' charts and has Helm make
// the lock.
func environment(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{"web", "api"} {
		setChart(t, root, name, map[string]string{"web": "2.3.118", "api": "1.0.0"}[name])
	}
	for name, content := range files {
		writeFile(t, filepath.Join(root, "env", name), content)
	}
	if err := manager(root).Update(); err != nil {
		t.Fatalf("helm dependency update: %v", err)
	}
	return root
}

func setChart(t *testing.T, root, name, version string) {
	t.Helper()
	writeFile(t, filepath.Join(root, name, "Chart.yaml"), "apiVersion: v2\nname: "+name+"\nversion: "+version+"\n")
}

func manager(root string) *downloader.Manager {
	return &downloader.Manager{
		Out: io.Discard, ChartPath: filepath.Join(root, "env"), Getters: getter.Providers{}, SkipUpdate: true,
		RepositoryConfig: filepath.Join(root, "repositories.yaml"), RepositoryCache: filepath.Join(root, "cache"),
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, elements ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestHelmAcceptsTheLock: Helm's own `dependency build`, which refuses a lock
// that is out of step, takes what Relock made.
func TestHelmAcceptsTheLock(t *testing.T) {
	for name, test := range map[string]struct {
		files      map[string]string
		file, lock string
	}{
		"Chart.yaml":        {map[string]string{"Chart.yaml": chartV2 + entries}, "Chart.yaml", "Chart.lock"},
		"requirements.yaml": {map[string]string{"Chart.yaml": strings.Replace(chartV2, "v2", "v1", 1), "requirements.yaml": entries}, "requirements.yaml", "requirements.lock"},
	} {
		t.Run(name, func(t *testing.T) {
			root := environment(t, test.files)
			before, lock := readFile(t, root, "env", test.file), readFile(t, root, "env", test.lock)
			after, _, err := edit.SetDependency(before, edit.Selector{Name: "web", Alias: "front"}, "2.4.0")
			if err != nil {
				t.Fatal(err)
			}
			relocked, err := edit.Relock(lock, before, after)
			if err != nil {
				t.Fatal(err)
			}
			checkLines(t, string(lock), string(relocked), "version: 2.3.118", "digest: ")

			setChart(t, root, "web", "2.4.0")
			writeFile(t, filepath.Join(root, "env", test.file), string(after))
			if err := manager(root).Build(); err == nil {
				t.Fatal("Helm accepts the old lock: this test proves nothing")
			}
			writeFile(t, filepath.Join(root, "env", test.lock), string(relocked))
			if err := manager(root).Build(); err != nil {
				t.Errorf("helm dependency build: %v\n%s", err, relocked)
			}
		})
	}
}

// checkLines wants before and after to differ in the first line with each of
// the marks and nowhere else.
func checkLines(t *testing.T, before, after string, marks ...string) {
	t.Helper()
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	if len(old) != len(now) {
		t.Fatalf("other lines than before:\n%s", after)
	}
	for i := range old {
		expected := len(marks) > 0 && strings.Contains(old[i], marks[0])
		if (old[i] != now[i]) != expected {
			t.Errorf("line %d: %q became %q", i+1, old[i], now[i])
		}
		if expected {
			marks = marks[1:]
		}
	}
	if len(marks) > 0 {
		t.Errorf("no line with %q", marks)
	}
}

// TestHelmAcceptsTheLockOfAnotherList: an entry comes and goes, also the only
// one.
func TestHelmAcceptsTheLockOfAnotherList(t *testing.T) {
	const only = "dependencies:\n- name: web\n  version: 2.3.118\n  repository: file://../web\n"
	web := edit.Dependency{Name: "web", Alias: "third", Version: "2.3.118", Repository: "file://../web"}
	for name, test := range map[string]struct {
		chart string
		edit  func(chart []byte) ([]byte, error)
	}{
		"one more": {chartV2 + entries, func(chart []byte) ([]byte, error) { return edit.AddDependency(chart, web) }},
		"one less": {chartV2 + entries, func(chart []byte) ([]byte, error) {
			out, _, err := edit.RemoveDependency(chart, edit.Selector{Alias: "back"})
			return out, err
		}},
		"a second one": {chartV2 + only, func(chart []byte) ([]byte, error) { return edit.AddDependency(chart, web) }},
		"none left": {chartV2 + only, func(chart []byte) ([]byte, error) {
			out, _, err := edit.RemoveDependency(chart, edit.Selector{Name: "web"})
			return out, err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			root := environment(t, map[string]string{"Chart.yaml": test.chart})
			before, lock := readFile(t, root, "env", "Chart.yaml"), readFile(t, root, "env", "Chart.lock")
			after, err := test.edit(before)
			if err != nil {
				t.Fatal(err)
			}
			relocked, err := edit.Relock(lock, before, after)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(root, "env", "Chart.yaml"), string(after))
			if err := manager(root).Build(); err == nil && name != "none left" {
				t.Fatal("Helm accepts the old lock: this test proves nothing")
			}
			writeFile(t, filepath.Join(root, "env", "Chart.lock"), string(relocked))
			if err := manager(root).Build(); err != nil {
				t.Errorf("helm dependency build: %v\n%s", err, relocked)
			}
		})
	}
}
