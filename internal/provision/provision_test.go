package provision_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/provision"
)

// site is a cluster with Lockstep in it, where everything under test is done with the
// rights of reconcile's service account, and what the tests do with an administrator's.
type site struct {
	*clustertest.Cluster
	provision.Site
	Namespace string // that reconcile runs in
}

func start(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	on := clustertest.Start(t)
	client := on.ClientWith(t, on.Lockstep(t))
	return &site{on, provision.Site{Client: client, Namespace: on.Namespace, Environments: "https://git.example.com/" + on.Short() + "/environments"}, on.Namespace}
}

// place is the environment qa, whose repository is on a Git host that takes it for a
// GitHub that is never asked: only webhooks would need it.
func (s *site) place(t *testing.T) provision.Place {
	t.Helper()
	s.Forge = forge.GitHub
	repository := gittest.NewInProcessServer(t).Create("acme/qa", gittest.Files{"Chart.yaml": "apiVersion: v2\nname: qa\nversion: 0.1.0\n"})
	return s.placeAt(t, repository.URL, git.Access{})
}

func (s *site) placeAt(t *testing.T, url string, access git.Access) provision.Place {
	t.Helper()
	remote, err := git.NewRemote(url, access)
	if err != nil {
		t.Fatal(err)
	}
	tip, err := remote.Tip(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	namespace := s.Short() + "-qa"
	s.RemoveNamespaces(t, namespace, namespace+"-lockstep")
	return provision.Place{Environment: environment.Environment{Name: "qa", Repository: url, Namespace: namespace}, Remote: remote, Tip: tip}
}

func (s *site) ensure(t *testing.T, p provision.Place) []string {
	t.Helper()
	changed, err := s.Ensure(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// objects are those of an environment, by "release/<Kind> <name>" and "runs/<Kind> <name>".
func (s *site) objects(t *testing.T, p provision.Place) map[string]unstructured.Unstructured {
	t.Helper()
	found := map[string]unstructured.Unstructured{}
	for where, namespace := range map[string]string{"release": p.Namespace, "runs": p.Namespace + "-lockstep"} {
		for key, o := range s.Snapshot(t, namespace) {
			found[where+strings.TrimPrefix(strings.ReplaceAll(key, s.Short(), "SHORT"), "SHORT-qa"+strings.TrimPrefix(namespace, p.Namespace))] = o
		}
	}
	return found
}

func versions(objects map[string]unstructured.Unstructured) map[string]string {
	found := map[string]string{}
	for name, o := range objects {
		found[name] = string(o.GetUID()) + " " + o.GetResourceVersion()
	}
	return found
}

// whole is everything that an environment has in the cluster, in the order in which
// it comes.
var whole = []string{
	"release/Namespace SHORT-qa", "runs/Namespace SHORT-qa-lockstep",
	"release/RoleBinding lockstep-reconcile", "runs/RoleBinding lockstep-reconcile",
	"runs/ServiceAccount lockstep-environment", "release/RoleBinding lockstep-deploy",
	"runs/ClusterRoleBinding lockstep-webhook-SHORT-qa-lockstep",
	"runs/ServiceAccount lockstep-webhook", "runs/Role lockstep-webhook", "runs/RoleBinding lockstep-webhook",
	"runs/TriggerBinding push", "runs/TriggerBinding push-gitlab", "runs/TriggerBinding push-bitbucket",
	"runs/TriggerTemplate environment", "runs/Task deploy", "runs/Task conclude", "runs/Pipeline environment", "runs/EventListener lockstep",
	"runs/Secret lockstep-git", "runs/Secret lockstep-registry", "runs/Secret lockstep-webhook",
	"runs/Trigger qa",
}

// said is what Ensure says of objects.
func (s *site) said(objects ...string) []string {
	var all []string
	for _, o := range objects {
		_, o, _ = strings.Cut(o, "/")
		all = append(all, strings.ReplaceAll(o, "SHORT", s.Short()))
	}
	return all
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// TestEnsure: everything comes about with the rights of examples/site/lockstep.yaml
// alone; then nothing changes any more; and whatever one object is taken away comes
// back, and nothing else with it.
func TestEnsure(t *testing.T) {
	s := start(t)
	p := s.place(t)
	same(t, "the first time", s.ensure(t, p), s.said(whole...))
	made := s.objects(t, p)
	same(t, "what is there", slices.Sorted(maps.Keys(made)), slices.Sorted(slices.Values(whole)))

	same(t, "the second time", s.ensure(t, p), nil)
	if again := s.objects(t, p); !maps.Equal(versions(again), versions(made)) {
		t.Errorf("the second time changed something: %v, %v", versions(made), versions(again))
	}

	for _, name := range whole {
		o := made[name]
		if o.GetKind() == "Namespace" {
			continue // TestNamespaceGone
		}
		if err := s.Objects(t, o.GetAPIVersion(), o.GetKind(), o.GetNamespace()).Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		same(t, "without "+name, s.ensure(t, p), s.said(name))
		content := s.objects(t, p)[name]
		if name != "runs/Secret lockstep-webhook" && !reflect.DeepEqual(meaning(content), meaning(o)) {
			t.Errorf("%s came back as\n%v\nand was\n%v", name, meaning(content), meaning(o))
		}
	}
}

// meaning is an object without what the server writes.
func meaning(o unstructured.Unstructured) map[string]any {
	content := o.DeepCopy()
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"} {
		unstructured.RemoveNestedField(content.Object, "metadata", field)
	}
	return content.Object
}

func TestWhatIsMade(t *testing.T) {
	s := start(t)
	s.Insecure = []string{"registry.local:5000", "other.local"}
	p := s.place(t)
	s.ensure(t, p)
	made := s.objects(t, p)

	for _, name := range []string{"release/Namespace SHORT-qa", "runs/Namespace SHORT-qa-lockstep"} {
		o := made[name]
		if got := o.GetLabels()["pod-security.kubernetes.io/enforce"]; got != "restricted" {
			t.Errorf("%s: PodSecurity is %q", name, got)
		}
		if got := o.GetLabels()[provision.EnvironmentLabel]; got != "qa" {
			t.Errorf("%s is of the environment %q", name, got)
		}
		if got := o.GetAnnotations()["lockstep.dev/environments"]; got != s.Environments {
			t.Errorf("%s is by %q", name, got)
		}
	}
	for name, want := range map[string]string{
		"release/RoleBinding lockstep-deploy":                        "ClusterRole lockstep-environment for lockstep-environment of runs",
		"release/RoleBinding lockstep-reconcile":                     "ClusterRole lockstep-environment for lockstep-reconcile of site",
		"runs/RoleBinding lockstep-reconcile":                        "ClusterRole lockstep-provision for lockstep-reconcile of site",
		"runs/RoleBinding lockstep-webhook":                          "Role lockstep-webhook for lockstep-webhook of runs",
		"runs/ClusterRoleBinding lockstep-webhook-SHORT-qa-lockstep": "ClusterRole tekton-triggers-eventlistener-clusterroles for lockstep-webhook of runs",
	} {
		if got := s.binding(made[name], p); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	source := s.Snapshot(t, s.Namespace)
	for _, name := range []string{"Task deploy", "Task conclude", "Pipeline environment", "TriggerTemplate environment", "TriggerBinding push", "EventListener lockstep", "Role lockstep-webhook"} {
		from, to := source[s.Namespace+"/"+name], made["runs/"+name]
		for _, field := range []string{"spec", "rules"} {
			if !reflect.DeepEqual(from.Object[field], to.Object[field]) {
				t.Errorf("%s is no copy", name)
			}
		}
		if !maps.Equal(from.GetLabels(), to.GetLabels()) {
			t.Errorf("%s has the labels %v, its source %v", name, to.GetLabels(), from.GetLabels())
		}
	}
	for _, name := range []string{"Secret lockstep-git", "Secret lockstep-registry"} {
		from, to := source[s.Namespace+"/"+name], made["runs/"+name]
		if len(from.Object["data"].(map[string]any)) == 0 || !reflect.DeepEqual(from.Object["data"], to.Object["data"]) {
			t.Errorf("%s is no copy", name)
		}
	}
	if secret := valueOf(t, made["runs/Secret lockstep-webhook"]); len(secret) < 26 {
		t.Errorf("the webhook's secret is %q", secret)
	}
	// No namespace has a right in another environment, and nobody may do more than this.
	for name := range made {
		if strings.Contains(name, "Binding lockstep") && !slices.Contains(whole, name) {
			t.Errorf("there is %s as well", name)
		}
	}
}

// binding is "ClusterRole NAME for ACCOUNT of runs|site".
func (s *site) binding(o unstructured.Unstructured, p provision.Place) string {
	kind, _, _ := unstructured.NestedString(o.Object, "roleRef", "kind")
	role, _, _ := unstructured.NestedString(o.Object, "roleRef", "name")
	subjects, _, _ := unstructured.NestedSlice(o.Object, "subjects")
	var who []string
	for _, subject := range subjects {
		subject := subject.(map[string]any)
		of, _ := subject["namespace"].(string)
		of = map[string]string{p.Namespace + "-lockstep": "runs", s.Namespace: "site", "": "runs"}[of]
		who = append(who, subject["name"].(string)+" of "+of)
	}
	return kind + " " + role + " for " + strings.Join(who, ", ")
}

func valueOf(t *testing.T, secret unstructured.Unstructured) string {
	t.Helper()
	value, ok, err := unstructured.NestedString(secret.Object, "data", "secret")
	if !ok || err != nil {
		t.Fatalf("the secret is %v", secret.Object)
	}
	return value
}

// TestSubjectsMove: what is bound for an account of the source's own
// namespace is bound for the one of the copy's.
func TestSubjectsMove(t *testing.T) {
	s := start(t)
	p := s.place(t)
	s.patch(t, "rbac.authorization.k8s.io/v1", "RoleBinding", s.Namespace, "lockstep-webhook",
		`{"subjects":[{"kind":"ServiceAccount","name":"lockstep-webhook","namespace":"`+s.Namespace+`"}]}`)
	s.ensure(t, p)
	subjects, _, _ := unstructured.NestedSlice(s.objects(t, p)["runs/RoleBinding lockstep-webhook"].Object, "subjects")
	if len(subjects) != 1 || subjects[0].(map[string]any)["namespace"] != p.Namespace+"-lockstep" {
		t.Errorf("the copy is for %v", subjects)
	}
}

func (s *site) patch(t *testing.T, apiVersion, kind, namespace, name, patch string) {
	t.Helper()
	if _, err := s.Objects(t, apiVersion, kind, namespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestNewerTask: who installs a newer version where reconcile runs has installed it
// everywhere; and what somebody changed in a copy is undone.
func TestNewerTask(t *testing.T) {
	s := start(t)
	p := s.place(t)
	s.ensure(t, p)
	s.patch(t, "tekton.dev/v1", "Task", s.Namespace, "deploy", `{"metadata":{"labels":{"app.kubernetes.io/version":"9.9.9"}},"spec":{"displayName":"Newer"}}`)
	same(t, "with a newer Task", s.ensure(t, p), []string{"Task deploy"})
	task := s.objects(t, p)["runs/Task deploy"]
	if name, _, _ := unstructured.NestedString(task.Object, "spec", "displayName"); name != "Newer" || task.GetLabels()["app.kubernetes.io/version"] != "9.9.9" {
		t.Errorf("the copy is called %q and has the labels %v", name, task.GetLabels())
	}
	s.patch(t, "tekton.dev/v1", "Task", p.Namespace+"-lockstep", "deploy", `{"spec":{"displayName":"Mine"}}`)
	same(t, "with a changed copy", s.ensure(t, p), []string{"Task deploy"})
	s.patch(t, "v1", "Namespace", "", p.Namespace, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)
	same(t, "with a namespace that is not restricted", s.ensure(t, p), s.said("release/Namespace SHORT-qa"))
}

// TestSecretsStay: an environment may have credentials of its own.
func TestSecretsStay(t *testing.T) {
	s := start(t)
	p := s.place(t)
	s.ensure(t, p)
	runs := p.Namespace + "-lockstep"
	for _, name := range []string{"lockstep-git", "lockstep-registry", "lockstep-webhook"} {
		s.patch(t, "v1", "Secret", runs, name, `{"data":null,"stringData":{"mine":"own"}}`)
	}
	before := s.objects(t, p)
	same(t, "with secrets of its own", s.ensure(t, p), nil)
	if after := s.objects(t, p); !maps.Equal(versions(before), versions(after)) {
		t.Errorf("the secrets did not stay")
	}
}

// TestSomebodysTrigger: a Trigger that reconcile did not make is left alone, and what
// it sets counts.
func TestSomebodysTrigger(t *testing.T) {
	s := start(t)
	p := s.place(t)
	s.ensure(t, p)
	runs := p.Namespace + "-lockstep"
	s.patch(t, "triggers.tekton.dev/v1beta1", "Trigger", runs, "qa",
		`{"metadata":{"annotations":null},"spec":{"bindings":[{"ref":"push"},{"name":"environment","value":"qa"},{"name":"timeout","value":"33m"},{"name":"run-url","value":"$(body.x)"}]}}`)
	before := s.objects(t, p)
	same(t, "with somebody's Trigger", s.ensure(t, p), nil)
	if after := s.objects(t, p); !maps.Equal(versions(before), versions(after)) {
		t.Error("somebody's Trigger did not stay")
	}
	name, err := s.Start(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.params(t, p, name)["timeout"]; got != "33m" {
		t.Errorf("the run has the timeout %q, the Trigger 33m", got)
	}
}

func (s *site) params(t *testing.T, p provision.Place, run string) map[string]string {
	t.Helper()
	o, err := s.Objects(t, "tekton.dev/v1", "PipelineRun", p.Namespace+"-lockstep").Get(t.Context(), run, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return parameters(*o)
}

// TestDryRun: it changes nothing, with the rights of reconcile as with others, and says
// the same as what is done then.
func TestDryRun(t *testing.T) {
	s := start(t)
	p := s.place(t)
	s.DryRun = true
	same(t, "a dry run where nothing is there", s.ensure(t, p), s.said(whole...))
	if made := s.objects(t, p); len(made) > 0 {
		t.Errorf("it made %v", slices.Sorted(maps.Keys(made)))
	}
	s.DryRun = false
	s.ensure(t, p)
	made := s.objects(t, p)
	s.DryRun = true
	same(t, "a dry run where all is there", s.ensure(t, p), nil)

	s.patch(t, "tekton.dev/v1", "Task", s.Namespace, "deploy", `{"spec":{"displayName":"Newer"}}`)
	for _, gone := range []string{"runs/Secret lockstep-registry", "runs/RoleBinding lockstep-webhook"} {
		o := made[gone]
		if err := s.Objects(t, o.GetAPIVersion(), o.GetKind(), o.GetNamespace()).Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	before := s.objects(t, p)
	want := s.said("runs/RoleBinding lockstep-webhook", "runs/Task deploy", "runs/Secret lockstep-registry")
	same(t, "a dry run where three things are wrong", s.ensure(t, p), want)
	removed, err := s.Remove(t.Context(), "qa", p.Remote)
	if err != nil || len(removed) != 2 {
		t.Errorf("a dry run of Remove: %v, %v", removed, err)
	}
	if after := s.objects(t, p); !maps.Equal(versions(before), versions(after)) {
		t.Error("a dry run changed something")
	}
	s.DryRun = false
	same(t, "when it is done", s.ensure(t, p), want)
}

// TestSourceMissing: an installation that is not whole is no state to be retried.
func TestSourceMissing(t *testing.T) {
	s := start(t)
	p := s.place(t)
	if err := s.Objects(t, "tekton.dev/v1", "Task", s.Namespace).Delete(t.Context(), "conclude", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Ensure(t.Context(), p)
	if f := fault.Of(err); f.Reason != "SourceMissing" || !strings.Contains(err.Error(), "Task conclude") {
		t.Errorf("got %v", err)
	}
}
