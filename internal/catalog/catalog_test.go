package catalog_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

const (
	path = "environments.yaml"
	head = "# ours\napiVersion: lockstep.dev/v1alpha1\nkind: Environments\nenvironments:\n"
	// staging is what is there before.
	staging = "- name: staging # begins here\n  repository: https://git.example.com/acme/staging.git\n  namespace: staging\n"
)

// in is the environments.yaml of a repository.
func in(r *gittest.Repository) catalog.Catalog {
	return catalog.Catalog{
		Where: r.URL, Path: path, Patience: 3 * time.Minute, Author: git.Signature{Name: "Tester", Email: "tester@example.com"},
		Open: func(url string) (*git.Remote, error) { return git.NewRemote(url, git.Access{RetryFor: time.Minute}) },
	}
}

func entry(name string) []edit.Pair {
	return []edit.Pair{
		{Key: "name", Value: name}, {Key: "repository", Value: "https://git.example.com/acme/" + name + ".git"}, {Key: "namespace", Value: name},
	}
}

// known is what a repository's environments.yaml says now.
func known(t *testing.T, r *gittest.Repository) *environment.Environments {
	t.Helper()
	all, err := environment.Parse(path, []byte(r.File("main", path)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRow01_ManyComeAtOnce lets many create environments in one file at the same
// time. Each is there once, by one commit, behind what was there before.
func TestRow01_ManyComeAtOnce(t *testing.T) {
	t.Parallel()
	const many = 10
	repository := gittest.NewInProcessServer(t).Create("environments", gittest.Files{path: head + staging})
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			name := fmt.Sprintf("preview-%d", i)
			changed, err := in(repository).Add(t.Context(), name, "", entry(name))
			if err != nil || !changed.Done || changed.Commit == "" {
				t.Errorf("%s: %+v, %v", name, changed, err)
			}
		})
	}
	all.Wait()
	environments := known(t, repository)
	for i := range many {
		if _, err := environments.Find(fmt.Sprintf("preview-%d", i)); err != nil {
			t.Error(err)
		}
	}
	if got := repository.File("main", path); len(environments.Environments) != many+1 || !strings.HasPrefix(got, head+staging) {
		t.Errorf("%d environments:\n%s", len(environments.Environments), got)
	}
	if commits := repository.Git("rev-list", "--count", "main"); commits != fmt.Sprint(many+1) {
		t.Errorf("%s commits, want %d", commits, many+1)
	}
}

// overtaken lets somebody else commit the file while our push is on its way.
func overtaken(server *gittest.Server, repository *gittest.Repository, text string) {
	overtakenBy(server, repository, gittest.Files{path: text, "theirs": "x"})
}

func overtakenBy(server *gittest.Server, repository *gittest.Repository, theirs gittest.Files) {
	var once sync.Once
	server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if gittest.IsPush(r) {
			once.Do(func() { repository.Commit("theirs", theirs) })
		}
		return false
	})
}

// TestRow01_SomebodyElseIsFaster wants both changes: theirs, and ours on top.
func TestRow01_SomebodyElseIsFaster(t *testing.T) {
	t.Parallel()
	theirs := head + staging + "  frozen: true # until Monday\n"
	for name, test := range map[string]struct {
		do   func(catalog.Catalog) (catalog.Changed, error)
		want string
	}{
		"add": {
			func(c catalog.Catalog) (catalog.Changed, error) {
				return c.Add(t.Context(), "qa", "staging", entry("qa"))
			},
			theirs + "- name: qa\n  repository: https://git.example.com/acme/qa.git\n  namespace: qa\n",
		},
		"set": {
			func(c catalog.Catalog) (catalog.Changed, error) {
				return c.Set(t.Context(), "staging", []edit.Pair{{Key: "promotion", Value: "Auto"}})
			},
			theirs + "  promotion: Auto\n",
		},
		"remove": {
			func(c catalog.Catalog) (catalog.Changed, error) { return c.Remove(t.Context(), "staging") },
			strings.TrimSuffix(head, "\n") + " []\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := gittest.NewInProcessServer(t)
			repository := server.Create("environments", gittest.Files{path: head + staging})
			overtaken(server, repository, theirs)
			changed, err := test.do(in(repository))
			if err != nil || !changed.Done || string(changed.Commit) != repository.Head("main") {
				t.Fatalf("%+v, %v", changed, err)
			}
			if got := repository.File("main", path); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if got := repository.File("main", "theirs"); got != "x" {
				t.Errorf("their other file has %q", got)
			}
		})
	}
}

// TestRow01_TheSameFromTwo: what somebody else does at the same time is not done
// again, and what they do otherwise is not overwritten.
func TestRow01_TheSameFromTwo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ theirs, reason string }{
		"the same":      {"- name: qa\n  repository: https://git.example.com/acme/qa.git\n  namespace: qa\n", ""},
		"otherwise":     {"- name: qa\n  repository: https://git.example.com/acme/qa.git\n  namespace: theirs\n", "EnvironmentExists"},
		"a broken file": {"- name: qa\n", environment.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := gittest.NewInProcessServer(t)
			repository := server.Create("environments", gittest.Files{path: head + staging})
			overtaken(server, repository, head+staging+test.theirs)
			changed, err := in(repository).Add(t.Context(), "qa", "", entry("qa"))
			if got := reason(err); got != test.reason || changed.Done {
				t.Errorf("%+v, %v", changed, err)
			}
			if got := repository.File("main", path); got != head+staging+test.theirs {
				t.Errorf("the branch has\n%s", got)
			}
		})
	}
}

// TestRow10_WithoutTheirHistory: the branch was rewritten while our push was on its
// way. Ours comes on top of what is there now.
func TestRow10_WithoutTheirHistory(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	repository := server.Create("environments", gittest.Files{path: head + staging})
	repository.Commit("second", gittest.Files{path: head + staging + "  frozen: true\n"})
	var once sync.Once
	server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if gittest.IsPush(r) {
			once.Do(func() { repository.Git("update-ref", "refs/heads/main", "main^") })
		}
		return false
	})
	if _, err := in(repository).Add(t.Context(), "qa", "", entry("qa")); err != nil {
		t.Fatal(err)
	}
	if got := repository.File("main", path); strings.Contains(got, "frozen") || !strings.Contains(got, "name: qa") {
		t.Errorf("the branch has\n%s", got)
	}
}
