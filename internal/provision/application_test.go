package provision_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/application"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/provision"
	"github.com/lockstep-cd/lockstep/internal/webhook"
)

// source is an application whose values need care on their way into a run.
func (s *site) source(t *testing.T, name, url string, access git.Access) provision.Source {
	t.Helper()
	s.File = "acme/environments.yaml"
	remote, err := git.NewRemote(url, access)
	if err != nil {
		t.Fatal(err)
	}
	return provision.Source{
		Application: application.Application{
			Name: name, Repository: url, TestImage: "golang:1.26", TestCommand: "echo \"a 'quoted' \\ text\" &&\ngo test ./...",
			ImageBase: "scratch", ImageFiles: []string{"dist/a:/a", "dist/b:/b"}, ImageEntrypoint: []string{"/a", "--verbose"},
			ImageRepository: "registry.local:5000/acme/" + name, ChartRepository: "oci://registry.local:5000/charts", ChartAlias: "user", AddMissing: true,
		},
		Remote: remote, Tip: git.Ref{Name: "refs/heads/main"},
	}
}

func (s *site) ensureApplication(t *testing.T, a provision.Source) []string {
	t.Helper()
	changed, err := s.EnsureApplication(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// triggers are those in the applications' namespace, with their versions.
func (s *site) triggers(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for key, o := range s.Snapshot(t, s.Applications) {
		if o.GetKind() == "Trigger" {
			found[strings.TrimPrefix(key, s.Applications+"/Trigger ")] = string(o.GetUID()) + " " + o.GetResourceVersion()
		}
	}
	return found
}

// TestApplication: with the rights of examples/site/applications.yaml alone, a push to
// the application's repository on a real forge starts its pipeline with its settings.
func TestApplication(t *testing.T) {
	s := start(t)
	s.Applications = s.ApplicationsNamespace(t)
	s.Insecure = []string{"registry.local:5000", "other.local"}
	gitea := giteatest.Start(t)
	access := git.Access{CredentialsPath: gitea.Credentials()}
	url := gitea.Repository("qa", gittest.Files{"main.go": "package main\n"})
	at, heard := listen(t)
	s.WebhookURL = at + "/{namespace}"
	hookURL := at + "/" + s.Applications
	hook := "Webhook " + giteatest.User + "/qa"
	web := s.source(t, "web", url, access)

	s.DryRun = true
	same(t, "a dry run", s.ensureApplication(t, web), []string{"Trigger web"})
	if len(s.triggers(t)) > 0 || len(hooks(gitea)) > 0 {
		t.Errorf("a dry run made %v, %v", s.triggers(t), hooks(gitea))
	}
	s.DryRun = false
	same(t, "the first time", s.ensureApplication(t, web), []string{"Trigger web", hook})
	first, there := hooks(gitea), s.triggers(t)
	if len(first) != 1 || first[hookURL] == 0 {
		t.Fatalf("the webhooks are %v, want %s", first, hookURL)
	}
	same(t, "the second time", s.ensureApplication(t, web), nil)
	if !maps.Equal(hooks(gitea), first) || !maps.Equal(s.triggers(t), there) {
		t.Errorf("the second time changed something: %v, %v", hooks(gitea), s.triggers(t))
	}

	commit := gitea.Push(url, "main", "a push", gittest.Files{"a.go": "package main\n"})
	got := s.startedBy(t, heard, commit, "canary-of-applications")
	for name, want := range map[string]string{
		"application": "web", "url": url, "revision": commit, "test-image": "golang:1.26", "test-command": web.TestCommand,
		"image-base": "scratch", "image-files": "dist/a:/a\ndist/b:/b", "image-entrypoint": "/a\n--verbose", "image-repository": web.ImageRepository,
		"chart-path": "charts/web", "chart-repository": web.ChartRepository, "chart-name": "", "chart-alias": "user", "add-missing": "true", "environments-chart-repository": web.ChartRepository,
		"insecure-registries": "registry.local:5000\nother.local", "environments": s.Environments, "environments-file": s.File,
	} {
		if got[name] != want {
			t.Errorf("the run gets %s %q, want %q", name, got[name], want)
		}
	}

	// Somebody takes the Trigger over: it stays his, whatever becomes of the webhook.
	s.patch(t, "triggers.tekton.dev/v1beta1", "Trigger", s.Applications, "web", `{"metadata":{"annotations":null},"spec":{"bindings":[{"ref":"push"}]}}`)
	same(t, "with somebody's Trigger", s.ensureApplication(t, web), []string{hook})
	same(t, "with somebody's Trigger again", s.ensureApplication(t, web), nil)
	his := s.Snapshot(t, s.Applications)[s.Applications+"/Trigger web"]
	if bindings, _, _ := unstructured.NestedSlice(his.Object, "spec", "bindings"); len(bindings) != 1 || his.GetLabels()["lockstep.dev/webhook"] != "true" {
		t.Errorf("somebody's Trigger has become %v", his.Object)
	}
	first = hooks(gitea)
	s.patch(t, "triggers.tekton.dev/v1beta1", "Trigger", s.Applications, "web", `{"metadata":{"annotations":{"lockstep.dev/by":"reconcile","lockstep.dev/environments":"`+s.Environments+`","lockstep.dev/environments-file":"`+s.File+`"}}}`)
	s.ensureApplication(t, web)

	// Pushes go somewhere else: the old webhook goes.
	elsewhere := *s
	elsewhere.WebhookURL += "/x"
	same(t, "with another URL", elsewhere.ensureApplication(t, web), []string{hook})
	if now := hooks(gitea); len(now) != 1 || now[hookURL+"/x"] == 0 {
		t.Errorf("with another URL the webhooks are %v", now)
	}
	same(t, "with the URL before", s.ensureApplication(t, web), []string{hook})
	first = hooks(gitea)

	// The secret is an administrator's. With a new one, the webhook is made anew.
	s.patch(t, "v1", "Secret", s.Applications, "lockstep-webhook", `{"stringData":{"secret":"another-canary"}}`)
	same(t, "with another secret", s.ensureApplication(t, web), []string{hook})
	if now := hooks(gitea); len(now) != 1 || now[hookURL] == first[hookURL] {
		t.Errorf("the webhooks are %v, and were %v", now, first)
	}
	commit = gitea.Push(url, "main", "another push", gittest.Files{"b.go": "package main\n"})
	s.startedBy(t, heard, commit, "another-canary")

	// Another application in the same repository has the same webhook.
	api := s.source(t, "api", url, access)
	s.ensureApplication(t, api)
	same(t, "the first one beside another", s.ensureApplication(t, web), nil)
	same(t, "the other one", s.ensureApplication(t, api), nil)
	if now := hooks(gitea); len(now) != 1 {
		t.Errorf("two applications have the webhooks %v", now)
	}
	known, err := s.KnownApplications(t.Context())
	if err != nil || !maps.Equal(known, map[string]string{"web": url, "api": url}) {
		t.Errorf("known are %v, %v", known, err)
	}
	same(t, "removing one of two", s.removeApplication(t, "api", nil), []string{"Trigger api"})
	if now := hooks(gitea); len(now) != 1 {
		t.Errorf("with one of two removed, the webhooks are %v", now)
	}
	s.DryRun = true
	same(t, "a dry run of removing", s.removeApplication(t, "web", web.Remote), []string{"Trigger web"})
	s.DryRun = false
	same(t, "removing", s.removeApplication(t, "web", web.Remote), []string{"Trigger web"})
	same(t, "removing again", s.removeApplication(t, "web", web.Remote), nil)
	if len(s.triggers(t)) > 0 || len(hooks(gitea)) > 0 {
		t.Errorf("left are %v, %v", s.triggers(t), hooks(gitea))
	}
}

func (s *site) removeApplication(t *testing.T, name string, remote *git.Remote) []string {
	t.Helper()
	changed, err := s.RemoveApplication(t.Context(), name, remote)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// startedBy are the parameters of the run that a commit's push starts by the objects
// that are in the cluster, of which there is one.
func (s *site) startedBy(t *testing.T, heard <-chan webhook.Request, commit, secret string) map[string]string {
	t.Helper()
	return parameters(received(t, s.Snapshot(t, s.Applications), s.Applications, secret, await(t, heard, commit)))
}

// TestApplicationOfOthers: what somebody made by hand, or another environments.yaml, is
// left alone.
func TestApplicationOfOthers(t *testing.T) {
	s := start(t)
	s.Applications = s.ApplicationsNamespace(t)
	s.Forge = forge.GitHub
	web := s.source(t, "web", gittest.NewInProcessServer(t).Create("acme/web", gittest.Files{"main.go": "package main\n"}).URL, git.Access{})
	s.ensureApplication(t, web)

	other := *s
	other.Environments += "-of-others"
	before := s.triggers(t)
	_, err := other.EnsureApplication(t.Context(), web)
	if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "TriggerTaken" {
		t.Errorf("over another one's Trigger: %v", err)
	}
	same(t, "others remove", other.removeApplication(t, "web", web.Remote), nil)
	if known, err := other.KnownApplications(t.Context()); err != nil || len(known) > 0 {
		t.Errorf("others know %v, %v", known, err)
	}

	// The same environments.yaml may be written in another way, and changes nothing.
	spelled := *s
	spelled.Environments += ".git"
	same(t, "with .git", spelled.ensureApplication(t, web), nil)
	if now := s.triggers(t); !maps.Equal(now, before) {
		t.Errorf("another spelling changed %v to %v", before, now)
	}
	// Another file of the repository is another environments.yaml.
	file := *s
	file.File = "other.yaml"
	if known, err := file.KnownApplications(t.Context()); err != nil || len(known) > 0 {
		t.Errorf("of another file known are %v, %v", known, err)
	}

	s.patch(t, "triggers.tekton.dev/v1beta1", "Trigger", s.Applications, "web", `{"metadata":{"annotations":null},"spec":{"bindings":[{"ref":"push"}]}}`)
	mine := s.triggers(t)
	same(t, "with somebody's Trigger", s.ensureApplication(t, web), nil)
	same(t, "removing somebody's", s.removeApplication(t, "web", web.Remote), nil)
	if now := s.triggers(t); !maps.Equal(now, mine) || maps.Equal(now, before) {
		t.Errorf("somebody's Trigger did not stay: %v, %v", now, mine)
	}
}

// TestApplicationWithoutForge: nothing would ever start its pipeline, so that this is
// no success.
func TestApplicationWithoutForge(t *testing.T) {
	s := start(t)
	s.Applications = s.ApplicationsNamespace(t)
	s.Forge = ""
	web := s.source(t, "web", gittest.NewInProcessServer(t).Create("acme/web", gittest.Files{"main.go": "package main\n"}).URL, git.Access{})
	changed, err := s.EnsureApplication(t.Context(), web)
	if fault.Of(err).Kind != fault.KindUsage || len(changed) > 0 || len(s.triggers(t)) > 0 {
		t.Errorf("got %v, %v, %v", changed, err, slices.Collect(maps.Keys(s.triggers(t))))
	}
}
