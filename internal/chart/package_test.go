package chart_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

// TestTheSameCommitGivesTheSameDigest packages two clones of one chart, with
// dependencies, which Helm writes in an order of chance.
func TestTheSameCommitGivesTheSameDigest(t *testing.T) {
	files := umbrella("- {name: a, version: 1.0.0}\n- {name: b, version: 1.0.0}\n- {name: c, version: 1.0.0}\n")
	for _, name := range []string{"a", "b", "c"} {
		vendored(t, files, name, "1.0.0")
	}
	opts := chart.PackageOptions{Version: "2.0.0", Created: time.Unix(1717243200, 0)}
	first := pack(t, files, opts)
	for range 5 {
		dir := write(t, files)
		if err := os.Chtimes(filepath.Join(dir, "Chart.yaml"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		again, err := chart.Package(context.Background(), dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		if again.Digest != first.Digest {
			t.Fatalf("digests %s and %s of the same files", first.Digest, again.Digest)
		}
	}
	repository := "oci://" + registrytest.New(t).Host() + "/charts"
	pushed, err := chart.Push(context.Background(), first, repository, registry.Access{})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := chart.Push(context.Background(), first, "oci://"+registrytest.New(t).Host()+"/charts", registry.Access{})
	if err != nil || pushed.Digest != elsewhere.Digest {
		t.Errorf("manifests %s and %s of one archive (%v)", pushed.Digest, elsewhere.Digest, err)
	}
}

func TestPackageSetsWhatItIsTold(t *testing.T) {
	p := pack(t, service("a", "0.0.0"), chart.PackageOptions{
		Version: "2.3.119", AppVersion: "v2",
		Values: func(text []byte) ([]byte, error) {
			return bytes.ReplaceAll(text, []byte("example.com/none"), []byte("example.com/acme/a")), nil
		},
	})
	c, err := chart.Open(p.Archive)
	if err != nil {
		t.Fatal(err)
	}
	if c.Metadata.Version != "2.3.119" || c.Metadata.AppVersion != "v2" || p.Name != "a" {
		t.Errorf("packaged %+v", c.Metadata)
	}
	for _, f := range c.Raw {
		if f.Name == "values.yaml" && !strings.Contains(string(f.Data), "repository: example.com/acme/a # set when packaged") {
			t.Errorf("values.yaml is\n%s", f.Data)
		}
	}
}

func TestPackageKeepsTheRequirementsForm(t *testing.T) {
	files := map[string]string{
		"Chart.yaml":        "apiVersion: v1\nname: environment\nversion: 0.1.0\ndescription: x\nicon: https://example.com/i.svg\n",
		"requirements.yaml": "# services\ndependencies:\n- {name: a, alias: one, version: 1.0.0}\n",
	}
	vendored(t, files, "a", "1.0.0")
	p := pack(t, files, chart.PackageOptions{})
	c, err := chart.Open(p.Archive)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Metadata.Dependencies) != 1 || c.Metadata.Dependencies[0].Alias != "one" || len(c.Dependencies()) != 1 {
		t.Errorf("dependencies of the archive: %+v", c.Metadata.Dependencies)
	}
}

func TestTwoVersionsOfOneChartCannotBePacked(t *testing.T) {
	files := umbrella("- {name: a, alias: one, version: 1.0.0}\n- {name: a, alias: two, version: 2.0.0}\n")
	vendored(t, files, "a", "1.0.0")
	vendored(t, files, "a", "2.0.0")
	_, err := chart.Package(context.Background(), write(t, files), chart.PackageOptions{SkipLint: true})
	refuses(t, err, chart.ErrDuplicate, "ChartInvalid", "twice")
}

// TestFoldersThatHelmWouldPack are those of a checkout and of a volume.
func TestFoldersThatHelmWouldPack(t *testing.T) {
	files := service("a", "1.0.0")
	plain := pack(t, files, chart.PackageOptions{})
	files[".git/config"] = "[remote]\n\turl = https://example.com\n"
	files["lost+found/x"] = "x"
	files["notes.txt"] = "x"
	files[".helmignore"] = "notes.txt\n.helmignore\n"
	if got := pack(t, files, chart.PackageOptions{}); got.Digest != plain.Digest {
		t.Error(".git, lost+found or an ignored file got into the archive")
	}
}

// TestOneChartUnderSeveralAliases is packed once, wherever it comes from, and
// Helm renders it once for each alias.
func TestOneChartUnderSeveralAliases(t *testing.T) {
	museum, oci := registrytest.NewMuseum(t), registrytest.New(t)
	publish(t, museum.URL, "a", "1.0.0")
	publish(t, "oci://"+oci.Host()+"/charts", "a", "1.0.0")
	in := func(folder string) func(files map[string]string) {
		return func(files map[string]string) {
			for name, content := range service("a", "1.0.0") {
				files[folder+"/"+name] = content
			}
		}
	}
	for name, c := range map[string]struct {
		repositories [2]string
		lay          func(files map[string]string)
	}{
		"an archive in charts":            {[2]string{"https://charts.example.com", "https://charts.example.com"}, func(files map[string]string) { vendored(t, files, "a", "1.0.0") }},
		"a folder in charts":              {[2]string{"", ""}, in("charts/a")},
		"a folder of the chart":           {[2]string{"file://./lib/a", "file://./lib/a"}, in("lib/a")},
		"a folder, written in two ways":   {[2]string{"file://./lib/a", "file://lib/a/"}, in("lib/a")},
		"a repository":                    {[2]string{museum.URL, museum.URL}, nil},
		"a repository in two ways":        {[2]string{museum.URL, museum.URL + "/"}, nil},
		"two repositories":                {[2]string{museum.URL, "oci://" + oci.Host() + "/charts"}, nil},
		"a folder and a repository":       {[2]string{"file://lib/a", museum.URL}, in("lib/a")},
		"an archive and a folder of both": {[2]string{"", ""}, func(files map[string]string) { in("charts/a")(files); vendored(t, files, "a", "1.0.0") }},
	} {
		t.Run(name, func(t *testing.T) {
			files := umbrella(fmt.Sprintf("- {name: a, alias: one, version: 1.0.0, repository: %q}\n- {name: a, alias: two, version: 1.0.0, repository: %q}\n", c.repositories[0], c.repositories[1]))
			if c.lay != nil {
				c.lay(files)
			}
			opened, err := chart.Open(pack(t, files, chart.PackageOptions{SkipLint: true}).Archive)
			if err != nil {
				t.Fatal(err)
			}
			if got := configMaps(t, opened); got != "staging-one staging-two" {
				t.Errorf("it renders %q", got)
			}
		})
	}
}

// TestRow30_OneVersionWithTwoContents: aliases share a chart, so that one of them
// would get what the other one wants.
func TestRow30_OneVersionWithTwoContents(t *testing.T) {
	files := umbrella("- {name: a, alias: one, version: 1.0.0, repository: \"file://lib/one\"}\n- {name: a, alias: two, version: 1.0.0, repository: \"file://lib/two\"}\n")
	for _, folder := range []string{"lib/one", "lib/two"} {
		for name, content := range service("a", "1.0.0") {
			files[folder+"/"+name] = content
		}
	}
	files["lib/two/values.yaml"] = "image: {repository: another, digest: \"\"}\n"
	_, err := load(t, files)
	refuses(t, err, chart.ErrDuplicate, "DependencyDuplicate", "a 1.0.0", "different content")
}

// configMaps names what Helm renders of a chart, as the release staging.
func configMaps(t *testing.T, c *chart.Chart) string {
	t.Helper()
	if err := chartutil.ProcessDependenciesWithMerge(c, c.Values); err != nil {
		t.Fatal(err)
	}
	values, err := chartutil.ToRenderValues(c, nil, chartutil.ReleaseOptions{Name: "staging"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := engine.Render(c, values)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, text := range rendered {
		_, rest, _ := strings.Cut(text, "name: ")
		if name, _, found := strings.Cut(rest, "\n"); found {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
