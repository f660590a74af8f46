package chart_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

const hostileChart = "apiVersion: v2\nname: a\nversion: 1.0.0\n"

func archive(t *testing.T, entries []tar.Header, contents ...string) []byte {
	t.Helper()
	content, err := registrytest.Archive(entries, contents)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func regular(name string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}
}

func TestRow37_HostileArchives(t *testing.T) {
	for what, content := range map[string][]byte{
		"parent":        archive(t, []tar.Header{regular("a/Chart.yaml"), regular("a/../../etc/x")}, hostileChart, "x"),
		"absolute":      archive(t, []tar.Header{regular("a/Chart.yaml"), regular("/etc/x")}, hostileChart, "x"),
		"name dot":      archive(t, []tar.Header{regular("a/Chart.yaml"), regular(".")}, hostileChart, "x"),
		"name dotdot":   archive(t, []tar.Header{regular("a/Chart.yaml"), regular("..")}, hostileChart, "x"),
		"inner dot":     archive(t, []tar.Header{regular("a/Chart.yaml"), regular("a/./b")}, hostileChart, "x"),
		"backslash":     archive(t, []tar.Header{regular("a/Chart.yaml"), regular(`a\..\..\x`)}, hostileChart, "x"),
		"drive":         archive(t, []tar.Header{regular("a/Chart.yaml"), regular("a/c:/x")}, hostileChart, "x"),
		"symbolic link": archive(t, []tar.Header{regular("a/Chart.yaml"), {Name: "a/values.yaml", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}, hostileChart, ""),
		"hard link":     archive(t, []tar.Header{regular("a/Chart.yaml"), {Name: "a/values.yaml", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}}, hostileChart, ""),
		"device":        archive(t, []tar.Header{regular("a/Chart.yaml"), {Name: "a/x", Typeflag: tar.TypeChar}}, hostileChart, ""),
		"large file":    archive(t, []tar.Header{regular("a/Chart.yaml"), regular("a/x")}, hostileChart, strings.Repeat("0", 6<<20)),
		"no gzip":       []byte("<html>not a chart</html>"),
		"nested":        nested(t, 20),
		"inner archive": archive(t, []tar.Header{regular("a/Chart.yaml"), regular("a/charts/b.tgz")}, hostileChart,
			string(archive(t, []tar.Header{regular("b/../../x")}, "x"))),
	} {
		t.Run(what, func(t *testing.T) {
			_, err := chart.Open(content)
			refuses(t, err, chart.ErrUnsafe, "ArchiveRefused")
			// The same archive as a vendored one.
			files := umbrella("- {name: a, version: 1.0.0}\n")
			files["charts/a-1.0.0.tgz"] = string(content)
			_, err = load(t, files)
			refuses(t, err, chart.ErrUnsafe, "ArchiveRefused", "charts/a-1.0.0.tgz")
		})
	}
}

// nested is an archive in an archive in an archive …
func nested(t *testing.T, depth int) []byte {
	inner := archive(t, []tar.Header{regular("a/Chart.yaml")}, hostileChart)
	for range depth {
		inner = archive(t, []tar.Header{regular("a/Chart.yaml"), regular("a/charts/a.tgz")}, hostileChart, string(inner))
	}
	return inner
}

// TestRow37_Bomb unpacks to 10 GB of many files; what is kept of it is bounded.
func TestRow37_Bomb(t *testing.T) {
	var before, after runtime.MemStats
	content := bomb(t, 2100)
	runtime.ReadMemStats(&before)
	_, err := chart.Open(content)
	runtime.ReadMemStats(&after)
	refuses(t, err, chart.ErrUnsafe, "ArchiveRefused", "unpacks to more than")
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 50<<20 {
		t.Errorf("%d bytes were allocated to refuse an archive of %d", grown, len(content))
	}
}

// bomb is n files of 5 MiB zeros each, as a repeated gzip member: a few kB each.
func bomb(t *testing.T, n int) []byte {
	t.Helper()
	var file, out bytes.Buffer
	w := tar.NewWriter(&file)
	if err := w.WriteHeader(&tar.Header{Name: "a/x", Typeflag: tar.TypeReg, Size: 5 << 20, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, 5<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	zip := gzip.NewWriter(&out)
	if _, err := zip.Write(file.Bytes()); err != nil || zip.Close() != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(out.Bytes(), n)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestRow38_Schemas(t *testing.T) {
	for what, schema := range map[string]string{
		"a device":        `{"$ref": "file:///dev/zero"}`,
		"in a property":   `{"properties": {"a": {"allOf": [{"$ref": "FILE:///etc/passwd"}]}}}`,
		"a path":          `{"$ref": "/etc/passwd"}`,
		"a long chain":    chain(100_000, `{"$ref": "#/definitions/a%d"}`),
		"a shorter chain": chain(600, `{"$ref": "#/definitions/a%d"}`),
		"a nested chain":  chain(50_000, `{"allOf": [{"$ref": "#/definitions/a%d"}]}`),
		"a circle":        `{"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}}`,
		"no JSON":         `{`,
	} {
		t.Run(what, func(t *testing.T) {
			files := service("a", "1.0.0")
			files["values.schema.json"] = schema
			_, err := load(t, files)
			refuses(t, err, nil, "SchemaRefused", "values.schema.json of a")

			files = umbrella("- {name: a, version: 1.0.0}\n")
			files["charts/a/Chart.yaml"] = hostileChart
			files["charts/a/values.schema.json"] = schema
			_, err = load(t, files)
			refuses(t, err, nil, "SchemaRefused", "values.schema.json of a")
		})
	}
	files := service("a", "1.0.0")
	files["values.schema.json"] = `{"properties": {"image": {"$ref": "#/definitions/image"}, "child": {"$ref": "#"}}, "definitions": {"image": {"type": "object"}}}`
	if _, err := load(t, files); err != nil {
		t.Errorf("an ordinary schema: %v", err)
	}
}

// chain is a schema whose definitions refer to one another in a row.
func chain(n int, definition string) string {
	var b strings.Builder
	b.WriteString(`{"$ref": "#/definitions/a0", "definitions": {`)
	for i := range n {
		fmt.Fprintf(&b, `"a%d": `+definition+`, `, i, i+1)
	}
	fmt.Fprintf(&b, `"a%d": {}}}`, n)
	return b.String()
}

func TestRow36_LinksInTheChartsFolder(t *testing.T) {
	for _, name := range []string{"Chart.lock", "charts", "values.yaml", "templates/x.yaml", ".helmignore"} {
		dir := write(t, service("a", "1.0.0"))
		outside := write(t, map[string]string{"secret": "s3cret: true\n"})
		path := filepath.Join(dir, name)
		_ = os.Remove(path)
		target := filepath.Join(outside, "secret")
		if name == "charts" {
			target = "/"
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		_, err := chart.Load(context.Background(), dir, chart.Options{})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s → %s: %v", name, target, err)
			continue
		}
		refuses(t, err, nil, map[bool]string{true: "ChartInvalid", false: "LinkRefused"}[name == ".helmignore"], name)
	}
	// A link to a file of the same chart is an ordinary thing.
	dir := write(t, service("a", "1.0.0"))
	if err := os.Symlink("values.yaml", filepath.Join(dir, "defaults.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := chart.Load(context.Background(), dir, chart.Options{}); err != nil {
		t.Errorf("a link inside the chart: %v", err)
	}
}

func TestRow28_WrongBytes(t *testing.T) {
	museum := registrytest.NewMuseum(t)
	publish(t, museum.URL, "a", "1.0.0")
	other := pack(t, service("a", "1.0.0"), chart.PackageOptions{AppVersion: "evil"}).Archive
	museum.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".tgz") {
			_, _ = w.Write(other)
			return true
		}
		return false
	})
	_, err := load(t, umbrella("- {name: a, version: 1.0.0, repository: \""+museum.URL+"\"}\n"))
	refuses(t, err, nil, "DigestMismatch")

	oci := registrytest.New(t)
	publish(t, "oci://"+oci.Host()+"/charts", "a", "1.0.0")
	oci.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			_, _ = w.Write(other)
			return true
		}
		return false
	})
	_, err = load(t, umbrella("- {name: a, version: 1.0.0, repository: \"oci://"+oci.Host()+"/charts\"}\n"))
	refuses(t, err, nil, "DigestMismatch")
}
