package chart_test

import (
	"context"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

// vendored packs a service and lays it into files under charts/.
func vendored(t *testing.T, files map[string]string, name, version string) {
	t.Helper()
	files["charts/"+name+"-"+version+".tgz"] = string(pack(t, service(name, version), chart.PackageOptions{}).Archive)
}

func TestRow30_DuplicateNamesAreRefusedAtApply(t *testing.T) {
	for what, entries := range map[string]string{
		"two entries without alias": "- {name: a, version: 1.0.0, repository: \"oci://localhost/x\"}\n- {name: a, version: 1.0.1, repository: \"oci://localhost/x\"}\n",
		"one alias twice":           "- {name: a, alias: s, version: 1.0.0, repository: \"oci://localhost/x\"}\n- {name: b, alias: s, version: 1.0.0, repository: \"oci://localhost/x\"}\n",
		"an alias that is a name":   "- {name: a, version: 1.0.0, repository: \"oci://localhost/x\"}\n- {name: b, alias: a, version: 1.0.0, repository: \"oci://localhost/x\"}\n",
	} {
		t.Run(what, func(t *testing.T) {
			_, err := load(t, umbrella(entries))
			refuses(t, err, chart.ErrDuplicate, "DependencyDuplicate", "dependencies[0]", "dependencies[1]")
		})
	}
	files := map[string]string{
		"Chart.yaml":        "apiVersion: v1\nname: environment\nversion: 0.1.0\n",
		"requirements.yaml": "dependencies:\n- {name: a, version: 1.0.0, repository: \"oci://localhost/x\"}\n- {name: a, version: 1.0.0, repository: \"oci://localhost/x\"}\n",
	}
	_, err := load(t, files)
	refuses(t, err, chart.ErrDuplicate, "DependencyDuplicate", "requirements.yaml")
}

func TestRow31_VendoredChartThatIsStale(t *testing.T) {
	files := umbrella("- {name: a, version: 2.0.0, repository: \"oci://localhost:1/x\"}\n")
	vendored(t, files, "a", "1.0.0")
	_, err := load(t, files)
	refuses(t, err, chart.ErrStale, "VendoredChartStale", "a 2.0.0", "charts/ holds a 1.0.0")
}

func TestRow31_VendoredChartThatFitsIsUsed(t *testing.T) {
	files := umbrella("- {name: a, alias: one, version: 1.0.0, repository: \"oci://localhost:1/x\"}\n- {name: a, alias: two, version: 2.0.0, repository: \"oci://localhost:1/x\"}\n")
	vendored(t, files, "a", "1.0.0")
	vendored(t, files, "a", "2.0.0")
	c, err := load(t, files)
	if err != nil || len(c.Dependencies()) != 2 {
		t.Errorf("two vendored versions under two aliases: %v", err)
	}
}

func TestRow31_MissingDependencies(t *testing.T) {
	oci := registrytest.New(t)
	_, err := load(t, umbrella("- {name: a, version: 1.0.0}\n"))
	refuses(t, err, chart.ErrMissing, "DependencyMissing", "a 1.0.0", "names no repository")

	_, err = load(t, umbrella("- {name: a, version: 1.0.0, repository: \"oci://"+oci.Host()+"/charts\"}\n"))
	refuses(t, err, chart.ErrMissing, "DependencyMissing", "a 1.0.0")

	// Both missing ones are named, not only the first.
	museum := registrytest.NewMuseum(t)
	_, err = load(t, umbrella("- {name: a, version: 1.0.0, repository: \""+museum.URL+"\"}\n- {name: b, version: 1.0.0, repository: \""+museum.URL+"\"}\n"))
	refuses(t, err, chart.ErrMissing, "DependencyMissing", "a 1.0.0", "b 1.0.0")

	// A sub-chart that was packaged without what it depends on.
	files := umbrella("- {name: a, version: 1.0.0}\n")
	files["charts/a/Chart.yaml"] = "apiVersion: v2\nname: a\nversion: 1.0.0\ndependencies:\n- {name: database, version: 9.0.0, repository: \"https://charts.example.com\"}\n"
	_, err = load(t, files)
	refuses(t, err, chart.ErrMissing, "DependencyMissing", "a 1.0.0", "database 9.0.0")
}

func TestRow31_RequirementsBesideChartDependencies(t *testing.T) {
	files := umbrella("- {name: a, version: 1.0.0}\n")
	vendored(t, files, "a", "1.0.0")
	files["requirements.yaml"] = "dependencies:\n- {name: b, version: 1.0.0}\n"
	vendored(t, files, "b", "1.0.0")
	_, err := load(t, files)
	refuses(t, err, chart.ErrStale, "DependenciesTwice", "Chart.yaml", "requirements.yaml")
}

func TestRow31_LockThatDoesNotFit(t *testing.T) {
	const repository = "oci://localhost:1/x"
	entry := "- {name: a, version: 1.0.0, repository: \"" + repository + "\"}\n"
	digest, err := chart.LockDigest(
		[]*chart.Dependency{{Name: "a", Version: "1.0.0", Repository: repository}},
		[]*chart.Dependency{{Name: "a", Version: "1.0.0", Repository: repository}})
	if err != nil {
		t.Fatal(err)
	}
	for what, lock := range map[string]string{
		"another version": lockText(digest, "a", "1.0.1", repository),
		"another chart":   lockText(digest, "b", "1.0.0", repository),
		"another digest":  lockText("sha256:"+strings.Repeat("0", 64), "a", "1.0.0", repository),
		"nothing locked":  "dependencies: []\ndigest: " + digest + "\ngenerated: \"2026-01-05T09:00:00Z\"\n",
	} {
		t.Run(what, func(t *testing.T) {
			files := umbrella(entry)
			vendored(t, files, "a", "1.0.0")
			files["Chart.lock"] = lock
			_, err := load(t, files)
			refuses(t, err, chart.ErrStale, "LockStale", "Chart.lock")
		})
	}
	files := umbrella(entry)
	vendored(t, files, "a", "1.0.0")
	files["Chart.lock"] = lockText(digest, "a", "1.0.0", repository)
	if _, err := load(t, files); err != nil {
		t.Errorf("a lock that fits: %v", err)
	}
	files["requirements.lock"] = files["Chart.lock"]
	_, err = load(t, files)
	refuses(t, err, chart.ErrStale, "DependenciesTwice", "requirements.lock")
}

func TestRangesNeedALock(t *testing.T) {
	_, err := load(t, umbrella("- {name: a, version: ^1.0.0, repository: \"oci://localhost/x\"}\n"))
	refuses(t, err, nil, "LockMissing", "^1.0.0")
}

func TestRepositoriesThatMeanNothingHere(t *testing.T) {
	for _, repository := range []string{"@stable", "alias:stable", "file://../sibling", "file:///etc", "git+ssh://x"} {
		_, err := load(t, umbrella("- {name: a, version: 1.0.0, repository: \""+repository+"\"}\n"))
		refuses(t, err, nil, "RepositoryUnknown", repository)
	}
}

func TestLocalDependency(t *testing.T) {
	files := umbrella("- {name: a, version: 1.0.0, repository: \"file://./lib/a\"}\n")
	for name, content := range service("a", "1.0.0") {
		files["lib/a/"+name] = content
	}
	c, err := load(t, files)
	if err != nil || len(c.Dependencies()) != 1 {
		t.Fatalf("a dependency below the chart's own folder: %v", err)
	}
}

func TestOneChartUnderTwoAliasesIsFetchedOnce(t *testing.T) {
	oci := registrytest.New(t)
	publish(t, "oci://"+oci.Host()+"/charts", "a", "1.0.0")
	entry := "version: 1.0.0, repository: \"oci://" + oci.Host() + "/charts\"}\n"
	c, err := load(t, umbrella("- {name: a, alias: one, "+entry+"- {name: a, alias: two, "+entry))
	if err != nil || len(c.Dependencies()) != 1 {
		t.Fatalf("%d charts loaded: %v", len(c.Dependencies()), err)
	}
	if n := oci.Count("GET /v2/charts/a/blobs/"); n != 1 {
		t.Errorf("the archive was fetched %d times", n)
	}
}

func TestChangedCacheIsNotUsed(t *testing.T) {
	oci := registrytest.New(t)
	pushed := publish(t, "oci://"+oci.Host()+"/charts", "a", "1.0.0")
	opts := chart.Options{Cache: t.TempDir()}
	dir := write(t, umbrella("- {name: a, version: 1.0.0, repository: \"oci://"+oci.Host()+"/charts\"}\n"))
	if _, err := chart.Load(context.Background(), dir, opts); err != nil {
		t.Fatal(err)
	}
	kept := opts.Cache + "/" + strings.ReplaceAll(pushed.Content, ":", "/")
	replace(t, kept, "a", "b")
	if _, err := chart.Load(context.Background(), dir, opts); err != nil {
		t.Errorf("a changed cache is a reason to fetch again, not to fail: %v", err)
	}
}
