package reconcile_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/application"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/reconcile"
)

// applications makes a repository for each name and an entry of it.
func (s *site) applications(names ...string) *application.Applications {
	all := &application.Applications{}
	for _, name := range names {
		repository, there := s.repositories[name]
		if !there {
			repository = s.host.Create("acme/"+name, gittest.Files{"main.go": "package main\n"})
			s.repositories[name] = repository
		}
		all.Applications = append(all.Applications, application.Application{
			Name: name, Repository: repository.URL, TestImage: "golang:1.26", TestCommand: "go test ./...", ImageBase: "scratch",
			ImageFiles: []string{"dist/a:/a"}, ImageRepository: "registry.example.com/acme/" + name, ChartRepository: "oci://registry.example.com/charts",
		})
	}
	return all
}

// outcomes are "NAME OUTCOME CHANGED …" of each result.
func outcomes(results []reconcile.Result) (all []string) {
	for _, r := range results {
		line := r.Application + r.Environment + " " + string(r.Outcome)
		for _, c := range r.Changed {
			line += " " + c
		}
		all = append(all, line)
	}
	return all
}

func TestApplications(t *testing.T) {
	s := start(t)
	r := s.reconciler(t, t.Context())
	r.Site.Applications = s.ApplicationsNamespace(t)
	expect := func(what string, all *application.Applications, want ...string) []reconcile.Result {
		t.Helper()
		results := r.Applications(t.Context(), all)
		if got := outcomes(results); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
		return results
	}
	none := &application.Applications{}
	expect("with no application", none)

	both := s.applications("web", "api")
	r.Site.DryRun = true
	for _, result := range expect("a dry run", both, "web created Trigger web", "api created Trigger api") {
		if !result.DryRun {
			t.Errorf("it does not say that it is one: %+v", result)
		}
	}
	r.Site.DryRun = false
	expect("the first time", both, "web created Trigger web", "api created Trigger api")
	for _, result := range expect("the second time", both, "web unchanged", "api unchanged") {
		if result.Commit == "" {
			t.Errorf("it has no commit: %+v", result)
		}
	}

	both.Applications[0].TestCommand = "make test"
	expect("with another command", both, "web created Trigger web", "api unchanged")

	// What goes wrong with one keeps no other back.
	broken := s.applications("web", "gone", "api")
	broken.Applications[0].TestCommand = "make test"
	broken.Applications[1].Repository += "-elsewhere"
	results := expect("with a repository that is not there", broken, "web unchanged", "gone refused", "api unchanged")
	if reconcile.Err(results) == nil || results[1].Reason == "" {
		t.Errorf("nothing is said of it: %+v", results[1])
	}

	// One that is empty is heard from its first push on.
	empty := s.applications("web", "api")
	empty.Applications[0].TestCommand = "make test"
	later := empty.Applications[1]
	later.Name, later.Repository = "new", s.host.Create("acme/new", nil).URL
	empty.Applications = append(empty.Applications, later)
	expect("with an empty repository", empty, "web unchanged", "api unchanged", "new created Trigger new")

	// One that moved is not heard in its old place any more.
	moved := s.applications("web", "api")
	moved.Applications[0].TestCommand = "make test"
	moved.Applications[0].Repository = s.host.Create("acme/elsewhere", nil).URL
	moved.Applications = append(moved.Applications, later)
	expect("with one that moved", moved, "web created Trigger web Trigger web", "api unchanged", "new unchanged")
	expect("with one that has moved", moved, "web unchanged", "api unchanged", "new unchanged")

	expect("without them", s.applications("api"), "api unchanged", "new deleted Trigger new", "web deleted Trigger web")
	expect("without them again", s.applications("api"), "api unchanged")
	r.Site.DryRun = true
	expect("a dry run without any", none, "api deleted Trigger api")
	r.Site.DryRun = false
	expect("without any", none, "api deleted Trigger api")
}

// TestApplicationsOfOneRepository share its webhook, which goes with the last of them.
func TestApplicationsOfOneRepository(t *testing.T) {
	s := start(t)
	gitea := giteatest.Start(t)
	r := s.reconciler(t, t.Context())
	r.Site.Applications = s.ApplicationsNamespace(t)
	r.Site.Forge, r.Site.WebhookURL = "", "https://hooks.example.com/{namespace}"
	r.Open = func(url string) (*git.Remote, error) {
		return git.NewRemote(url, git.Access{CredentialsPath: gitea.Credentials()})
	}
	all := s.applications("web", "api")
	url := gitea.Repository("one", gittest.Files{"main.go": "package main\n"})
	all.Applications[0].Repository, all.Applications[1].Repository = url, url
	expect := func(applications []application.Application, want int) {
		t.Helper()
		if err := reconcile.Err(r.Applications(t.Context(), &application.Applications{Applications: applications})); err != nil {
			t.Fatal(err)
		}
		var hooks []struct{ ID int64 }
		gitea.API(http.MethodGet, "repos/"+giteatest.User+"/one/hooks", nil, &hooks)
		if len(hooks) != want {
			t.Errorf("%d applications have %d webhooks, want %d", len(applications), len(hooks), want)
		}
	}
	expect(all.Applications, 1)
	expect(all.Applications[:1], 1)
	expect(nil, 0)
}
