package provision_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/provision"
	"github.com/lockstep-cd/lockstep/internal/webhook"
)

// hooks are the webhooks that Gitea has of the repository qa, by URL.
func hooks(gitea *giteatest.Server) map[string]int64 {
	var list []struct {
		ID     int64 `json:"id"`
		Config struct {
			URL string `json:"url"`
		} `json:"config"`
	}
	gitea.API(http.MethodGet, "repos/"+giteatest.User+"/qa/hooks", nil, &list)
	found := map[string]int64{}
	for _, h := range list {
		found[h.Config.URL] = h.ID
	}
	return found
}

// listen hears what a forge sends.
func listen(t *testing.T) (url string, heard chan webhook.Request) {
	t.Helper()
	heard = make(chan webhook.Request, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if request, err := webhook.ReadRequest(w, r); err == nil {
			heard <- request
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, heard
}

// await is the request that tells of a commit.
func await(t *testing.T, heard <-chan webhook.Request, commit string) (got webhook.Request) {
	t.Helper()
	clustertest.Eventually(t, "the webhook", func() error {
		select {
		case got = <-heard:
			if !strings.Contains(string(got.Body), commit) {
				return errors.New("another push was heard")
			}
			return nil
		default:
			return errors.New("nothing was heard")
		}
	})
	return got
}

// received is the run that a request starts by objects of the cluster, of which there is
// one.
func received(t *testing.T, objects map[string]unstructured.Unstructured, namespace, secret string, request webhook.Request) unstructured.Unstructured {
	t.Helper()
	var text strings.Builder
	for name, o := range objects {
		if strings.HasPrefix(o.GetAPIVersion(), "triggers.") {
			o.SetManagedFields(nil)
			document, err := o.MarshalJSON()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text.WriteString("---\n" + string(document) + "\n")
		}
	}
	listener, err := webhook.New([]webhook.Source{{Name: "cluster", Namespace: namespace, YAML: []byte(text.String())}},
		webhook.Secrets{namespace: {"lockstep-webhook": {"secret": []byte(secret)}}})
	if err != nil {
		t.Fatal(err)
	}
	result, err := listener.Receive(t.Context(), namespace, request)
	if err != nil || len(result.Resources) != 1 {
		t.Fatalf("the push starts %+v, %v", result, err)
	}
	var o unstructured.Unstructured
	if err := o.UnmarshalJSON(result.Resources[0].Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// parameters of a run.
func parameters(run unstructured.Unstructured) map[string]string {
	list, _, _ := unstructured.NestedSlice(run.Object, "spec", "params")
	params := map[string]string{}
	for _, param := range list {
		param := param.(map[string]any)
		params[param["name"].(string)] = param["value"].(string)
	}
	return params
}

// TestGitea: with a real forge, the environment gets the Trigger for it and a webhook
// that has the namespace's secret: what Gitea signs, Tekton's own code takes.
func TestGitea(t *testing.T) {
	s := start(t)
	gitea := giteatest.Start(t)
	url := gitea.Repository("qa", gittest.Files{"Chart.yaml": "apiVersion: v2\nname: qa\nversion: 0.1.0\n"})
	p := s.placeAt(t, url, git.Access{CredentialsPath: gitea.Credentials()})
	at, heard := listen(t)
	s.WebhookURL = at + "/{namespace}"
	runs := p.Namespace + "-lockstep"
	hookURL := at + "/" + runs
	all := append(s.said(whole...), "Webhook "+giteatest.User+"/qa")

	s.DryRun = true
	same(t, "a dry run", s.ensure(t, p), s.said(whole...))
	if got := hooks(gitea); len(got) > 0 {
		t.Errorf("a dry run made %v", got)
	}
	s.DryRun = false
	same(t, "the first time", s.ensure(t, p), all)
	first := hooks(gitea)
	if len(first) != 1 || first[hookURL] == 0 {
		t.Fatalf("the webhooks are %v, want %s", first, hookURL)
	}
	same(t, "the second time", s.ensure(t, p), nil)
	if got := hooks(gitea); got[hookURL] != first[hookURL] {
		t.Errorf("the webhook was made anew: %v, %v", first, got)
	}

	started := s.push(t, gitea, p, heard)
	if started.GetAnnotations()["lockstep.dev/commit"] == "" || started.GetNamespace() != runs {
		t.Errorf("a push starts %v", started.Object)
	}

	// A new secret: nobody knows the one that the forge has.
	secrets := s.Objects(t, "v1", "Secret", runs)
	if err := secrets.Delete(t.Context(), "lockstep-webhook", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	same(t, "without the secret", s.ensure(t, p), []string{"Secret lockstep-webhook", "Webhook " + giteatest.User + "/qa"})
	second := hooks(gitea)
	if len(second) != 1 || second[hookURL] == first[hookURL] {
		t.Errorf("the webhooks are %v, and were %v", second, first)
	}
	s.push(t, gitea, p, heard)

	// Somebody removed the webhook; another one is nothing of ours.
	gitea.API(http.MethodDelete, "repos/"+giteatest.User+"/qa/hooks/"+strconv.FormatInt(second[hookURL], 10), nil, nil)
	gitea.API(http.MethodPost, "repos/"+giteatest.User+"/qa/hooks", map[string]any{
		"type": "gitea", "active": true, "events": []string{"push"}, "config": map[string]any{"url": at + "/other", "content_type": "json"},
	}, nil)
	same(t, "without the webhook", s.ensure(t, p), []string{"Webhook " + giteatest.User + "/qa"})

	if _, err := s.Remove(t.Context(), "qa", p.Remote); err != nil {
		t.Fatal(err)
	}
	if got := hooks(gitea); len(got) != 1 || got[at+"/other"] == 0 {
		t.Errorf("after Remove the webhooks are %v", got)
	}
}

// push pushes to Gitea, and returns the run that its webhook starts by the objects and
// the secret that are in the cluster.
func (s *site) push(t *testing.T, gitea *giteatest.Server, p provision.Place, heard <-chan webhook.Request) unstructured.Unstructured {
	t.Helper()
	commit := gitea.Push(p.Repository, "main", "a push", gittest.Files{"values.yaml": "a: " + t.Name() + s.secretOf(t, p) + "\n"})
	return received(t, s.objects(t, p), p.Namespace+"-lockstep", s.secretOf(t, p), await(t, heard, commit))
}

func (s *site) secretOf(t *testing.T, p provision.Place) string {
	t.Helper()
	value, err := base64.StdEncoding.DecodeString(valueOf(t, s.objects(t, p)["runs/Secret lockstep-webhook"]))
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// TestNoForge: a repository that is on no forge is looked at on schedule alone.
func TestNoForge(t *testing.T) {
	s := start(t)
	p := s.place(t)
	s.Forge = ""
	s.WebhookURL = "https://hooks.example.com/{namespace}"
	same(t, "without a forge", s.ensure(t, p), s.said(whole[:len(whole)-1]...))
	same(t, "the second time", s.ensure(t, p), nil)
	if name, err := s.Start(t.Context(), p); err != nil || s.params(t, p, name)["namespace"] != p.Namespace {
		t.Errorf("started %q, %v", name, err)
	}
	if removed, err := s.Remove(t.Context(), "qa", p.Remote); err != nil || len(removed) != 2 {
		t.Errorf("removed %v, %v", removed, err)
	}
}

// TestTriggerOfEveryForge: each gets its own, which Tekton's code reads.
func TestTriggerOfEveryForge(t *testing.T) {
	s := start(t)
	p := s.place(t)
	for _, kind := range []forge.Kind{forge.GitHub, forge.GitLab, forge.Bitbucket, forge.BitbucketServer, forge.Gitea} {
		s.Forge = kind
		changed := s.ensure(t, p)
		if kind != forge.Gitea && !slices.Contains(changed, "Trigger qa") {
			t.Errorf("%s: changed %v", kind, changed)
		}
		same(t, "again", s.ensure(t, p), nil)
		trigger := s.objects(t, p)["runs/Trigger qa"]
		interceptors, _, _ := unstructured.NestedSlice(trigger.Object, "spec", "interceptors")
		name, _, _ := unstructured.NestedString(interceptors[0].(map[string]any), "ref", "name")
		want := map[forge.Kind]string{forge.GitHub: "github", forge.Gitea: "github", forge.GitLab: "gitlab", forge.Bitbucket: "bitbucket", forge.BitbucketServer: "bitbucket"}[kind]
		if name != want {
			t.Errorf("%s: the first interceptor is %s, want %s", kind, name, want)
		}
		text, err := trigger.MarshalJSON()
		if err != nil || strings.Contains(string(text), "${") || !strings.Contains(string(text), "acme/qa") {
			t.Errorf("%s: the Trigger is %s", kind, text)
		}
	}
}

// TestTriggerOfEveryForgeForApplications: the same, of the other folder.
func TestTriggerOfEveryForgeForApplications(t *testing.T) {
	s := start(t)
	s.Applications = s.ApplicationsNamespace(t)
	web := s.source(t, "web", gittest.NewInProcessServer(t).Create("acme/web", nil).URL, git.Access{})
	for kind, want := range map[forge.Kind]string{forge.GitHub: "push", forge.Gitea: "push", forge.GitLab: "push-gitlab", forge.Bitbucket: "push-bitbucket", forge.BitbucketServer: "push-bitbucket"} {
		s.Forge = kind
		s.ensureApplication(t, web)
		trigger := s.Snapshot(t, s.Applications)[s.Applications+"/Trigger web"]
		bindings, _, _ := unstructured.NestedSlice(trigger.Object, "spec", "bindings")
		if got := bindings[0].(map[string]any)["ref"]; got != want {
			t.Errorf("%s: the push is read by %v, want %s", kind, got, want)
		}
		text, err := trigger.MarshalJSON()
		if err != nil || strings.Contains(string(text), "${") || !strings.Contains(string(text), "acme/web") {
			t.Errorf("%s: the Trigger is %s", kind, text)
		}
		same(t, "again", s.ensureApplication(t, web), nil)
	}
}

// TestListenerAddress: the address of the listener's Service, which Tekton makes, is
// waited for.
func TestListenerAddress(t *testing.T) {
	s := start(t)
	gitea := giteatest.Start(t)
	p := s.placeAt(t, gitea.Repository("qa", gittest.Files{"Chart.yaml": "apiVersion: v2\nname: qa\nversion: 0.1.0\n"}), git.Access{CredentialsPath: gitea.Credentials()})
	s.ensure(t, p)
	s.WebhookURL = "http://{address}/"
	services := s.Kubernetes.CoreV1().Services(p.Namespace + "-lockstep")
	go func() {
		_, err := services.Create(context.Background(), &core.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "el-lockstep"},
			Spec:       core.ServiceSpec{Ports: []core.ServicePort{{Name: "http", Port: 8080}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Error(err)
		}
	}()
	same(t, "with a listener", s.ensure(t, p), []string{"Webhook " + giteatest.User + "/qa"})
	service, err := services.Get(t.Context(), "el-lockstep", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := hooks(gitea); got["http://"+service.Spec.ClusterIP+":8080/"] == 0 {
		t.Errorf("the webhooks are %v, the listener at %s", got, service.Spec.ClusterIP)
	}
}
