package catalog_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/application"
	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// noApplications is how applications.yaml begins.
const noApplications = "apiVersion: lockstep.dev/v1alpha1\nkind: Applications\napplications:\n"

// build are the keys of an application.
func build(repository, name string) []edit.Pair {
	return []edit.Pair{
		{Key: "repository", Value: repository}, {Key: "testImage", Value: "golang:1.26"}, {Key: "testCommand", Value: "make " + name},
		{Key: "imageBase", Value: "scratch"}, {Key: "imageFiles", Value: []string{"dist/" + name + ":/" + name}},
		{Key: "imageRepository", Value: "h/" + name}, {Key: "chartRepository", Value: "oci://h/charts"},
	}
}

// written is the entry that build gives.
func written(repository, name string) string {
	return strings.NewReplacer("REPOSITORY", repository, "NAME", name).Replace(`- name: NAME
  repository: REPOSITORY
  testImage: golang:1.26
  testCommand: make NAME
  imageBase: scratch
  imageFiles: [dist/NAME:/NAME]
  imageRepository: h/NAME
  chartRepository: oci://h/charts
  addMissing: true
`)
}

func add(t *testing.T, c catalog.Catalog, url, name string) (catalog.Changed, error) {
	t.Helper()
	return c.AddApplication(t.Context(), catalog.ApplicationRequest{Name: name, Keys: build(url, name)})
}

// names are the applications that a catalog has.
func names(t *testing.T, c catalog.Catalog) []string {
	t.Helper()
	all, err := c.Applications(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if all == nil {
		return nil // there is no file
	}
	var names []string
	for _, a := range all.Applications {
		names = append(names, a.Name)
	}
	return names
}

// TestApplicationsStandBesideTheEnvironments: in whatever folder these are, and each
// change is a commit that says what it is.
func TestApplicationsStandBesideTheEnvironments(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	web := server.Create("web", gittest.Files{"main.go": "package main\n"})
	repository := server.Create("environments", gittest.Files{"site/" + path: head + staging, "site/README.md": "# Ours\n"})
	c := in(repository)
	c.Path = "site/" + path
	if got := names(t, c); len(got) != 0 {
		t.Errorf("before there is a file: %v", got)
	}
	changed, err := add(t, c, web.URL, "web")
	if err != nil || !changed.Done || string(changed.Commit) != repository.Head("main") {
		t.Fatalf("%+v, %v", changed, err)
	}
	if got := repository.File("main", "site/"+catalog.ApplicationsFile); got != noApplications+written(web.URL, "web") {
		t.Errorf("got\n%s", got)
	}
	wantChange(t, repository, "add-application")
	if got := names(t, c); fmt.Sprint(got) != "[web]" {
		t.Errorf("there are %v", got)
	}
	if _, err := c.SetApplication(t.Context(), "web", []edit.Pair{{Key: "branch", Value: "main"}}); err != nil {
		t.Fatal(err)
	}
	wantChange(t, repository, "edit-application")
	if _, err := c.DeleteApplication(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	wantChange(t, repository, "delete-application")
	if got := names(t, c); len(got) != 0 {
		t.Errorf("after all: %v", got)
	}
}

// wantChange wants the last commit to be this one, of web, and of one file.
func wantChange(t *testing.T, r *gittest.Repository, operation string) {
	t.Helper()
	want := "chore: " + strings.ReplaceAll(operation, "-", " ") + " web\n\nLockstep-Operation: " + operation + "\nLockstep-Application: web"
	if got := strings.TrimSpace(r.Git("log", "-1", "--format=%B", "main")); got != want {
		t.Errorf("the message is\n%s\nwant\n%s", got, want)
	}
	if got := r.Git("diff", "--name-only", "main^", "main"); got != "site/"+catalog.ApplicationsFile {
		t.Errorf("%s changed %q", operation, got)
	}
}

// TestWithoutEnvironmentsThereAreNoApplications: a file is made beside environments.yaml
// only, not in whatever repository or folder was named by mistake.
func TestWithoutEnvironmentsThereAreNoApplications(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	web := server.Create("web", gittest.Files{"main.go": "package main\n"})
	folder := in(web)
	folder.Where = filepath.Join(t.TempDir(), path)
	for name, c := range map[string]catalog.Catalog{"repository": in(web), "folder": folder} {
		if changed, err := add(t, c, web.URL, "web"); reason(err) != "FileNotRead" || changed.Done {
			t.Errorf("add in a %s: %+v, %v", name, changed, err)
		}
		if changed, err := c.DeleteApplication(t.Context(), "web"); reason(err) != "FileNotRead" || changed.Done {
			t.Errorf("delete in a %s: %+v, %v", name, changed, err)
		}
	}
	if commits := web.Git("rev-list", "--count", "main"); commits != "1" {
		t.Errorf("%s commits", commits)
	}
	if files, err := os.ReadDir(filepath.Dir(folder.Where)); err != nil || len(files) != 0 {
		t.Errorf("the folder has %v, %v", files, err)
	}
}

// TestRow01_ManyAddApplications lets many add applications at the same time, the first
// of them to a file that is not there. Each is there once, by one commit.
func TestRow01_ManyAddApplications(t *testing.T) {
	t.Parallel()
	const many = 6
	server := gittest.NewInProcessServer(t)
	web := server.Create("web", gittest.Files{"main.go": "package main\n"})
	repository := server.Create("environments", gittest.Files{path: head + staging})
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			changed, err := add(t, in(repository), web.URL, fmt.Sprintf("web-%d", i))
			if err != nil || !changed.Done || changed.Commit == "" {
				t.Errorf("web-%d: %+v, %v", i, changed, err)
			}
		})
	}
	all.Wait()
	if got := names(t, in(repository)); len(got) != many {
		t.Errorf("there are %v", got)
	}
	file := repository.File("main", catalog.ApplicationsFile)
	for i := range many {
		if name := fmt.Sprintf("web-%d", i); strings.Count(file, written(web.URL, name)) != 1 {
			t.Errorf("%s is not there once:\n%s", name, file)
		}
	}
	if commits, merges := repository.Git("rev-list", "--count", "main"), repository.Git("rev-list", "--count", "--merges", "main"); commits != fmt.Sprint(many+1) || merges != "0" {
		t.Errorf("%s commits and %s merges, want %d and 0", commits, merges, many+1)
	}
}

// TestRow01_AnotherApplicationIsFaster wants both: what somebody else committed while
// our push was on its way, and ours on top. What says the same is there already, what
// says something else is not overwritten.
func TestRow01_AnotherApplicationIsFaster(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	web := server.Create("web", gittest.Files{"main.go": "package main\n"})
	one, other := written(web.URL, "web"), written(web.URL, "other")
	for name, test := range map[string]struct {
		theirs, want, reason string
		done                 bool
	}{
		"another":       {other, other + one, "", true},
		"the same":      {one, one, "", false},
		"contradicting": {strings.Replace(one, "make", "hack/make", 1), strings.Replace(one, "make", "hack/make", 1), "ApplicationExists", false},
		"a broken file": {"- name: web\n", "- name: web\n", "ApplicationsInvalid", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := gittest.NewInProcessServer(t)
			repository := server.Create("environments", gittest.Files{path: head + staging})
			overtakenBy(server, repository, gittest.Files{catalog.ApplicationsFile: noApplications + test.theirs})
			changed, err := add(t, in(repository), web.URL, "web")
			if reason(err) != test.reason || changed.Done != test.done {
				t.Errorf("%+v, %v", changed, err)
			}
			if got := repository.File("main", catalog.ApplicationsFile); got != noApplications+test.want {
				t.Errorf("the branch has\n%s", got)
			}
		})
	}
}

// TestRow11_WhatWouldBeShared: a new application takes from another one what carries
// that one's name, with its own in the place, and what all of them use; not what both
// would then write to.
func TestRow11_WhatWouldBeShared(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	web, shop := server.Create("web", nil), server.Create("shop", nil)
	for name, test := range map[string]struct {
		theirs, given edit.Pair
		want          string // of the key of theirs
		error         string
	}{
		"the name alone":     {theirs: edit.Pair{Key: "testCommand", Value: "make web web-all webs ./web/... web_1"}, want: "make shop web-all webs ./shop/... shop_1"},
		"lists":              {theirs: edit.Pair{Key: "imageEntrypoint", Value: []string{"/web", "--of=web", "x"}}, want: "[/shop --of=shop x]"},
		"chart of its own":   {theirs: edit.Pair{Key: "chartName", Value: "web"}, want: "shop"},
		"alias of its own":   {theirs: edit.Pair{Key: "chartAlias", Value: "web"}, want: "shop"},
		"shared chart":       {theirs: edit.Pair{Key: "chartName", Value: "generic"}},
		"shared alias":       {theirs: edit.Pair{Key: "chartAlias", Value: "front"}},
		"said":               {theirs: edit.Pair{Key: "chartName", Value: "generic"}, given: edit.Pair{Key: "chartName", Value: "generic"}, want: "generic"},
		"used by all":        {theirs: edit.Pair{Key: "branch", Value: "main"}, want: "main"},
		"not wanted":         {theirs: edit.Pair{Key: "branch", Value: "main"}, given: edit.Pair{Key: "branch"}},
		"for environments":   {theirs: edit.Pair{Key: "addMissing", Value: true}, want: "true"},
		"not for them":       {theirs: edit.Pair{Key: "addMissing"}},
		"shared images":      {theirs: edit.Pair{Key: "imageRepository", Value: "h/all"}, error: "needs the key imageRepository"},
		"shared repository":  {theirs: edit.Pair{Key: "repository", Value: "/srv/all.git"}, error: "needs the key repository"},
		"repository of both": {theirs: edit.Pair{Key: "chartPath", Value: "chart"}, given: edit.Pair{Key: "repository", Value: web.URL}, error: "the same repository, branch and chart path"},
	} {
		t.Run(name, func(t *testing.T) {
			c := inFolder(t, noApplications+written(web.URL, "web"))
			if _, err := c.SetApplication(t.Context(), "web", []edit.Pair{test.theirs}); err != nil {
				t.Fatal(err)
			}
			r := catalog.ApplicationRequest{Name: "shop", From: "web"}
			if test.given.Key != "" {
				r.Keys = []edit.Pair{test.given}
			}
			switch _, err := c.AddApplication(t.Context(), r); {
			case test.error != "":
				if reason(err) != "ApplicationsInvalid" || !strings.Contains(err.Error(), test.error) || fmt.Sprint(names(t, c)) != "[web]" {
					t.Errorf("%v", err)
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			all, err := c.Applications(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, err := all.Find("shop")
			if err != nil || got.Repository != shop.URL {
				t.Fatalf("%+v, %v", got, err)
			}
			if text := value(t, got, test.theirs.Key); text != test.want {
				t.Errorf("%s is %q, want %q", test.theirs.Key, text, test.want)
			}
		})
	}
}

// inFolder is a catalog of two files of this machine.
func inFolder(t *testing.T, applications string) catalog.Catalog {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{path: head + staging, catalog.ApplicationsFile: applications} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := in(&gittest.Repository{})
	c.Where = filepath.Join(dir, path)
	return c
}

// value is a key of an application as a text; "" where it has none.
func value(t *testing.T, a application.Application, key string) string {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	if keys[key] == nil {
		return ""
	}
	return fmt.Sprint(keys[key])
}
