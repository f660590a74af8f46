package reconcile_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/provision"
	"github.com/lockstep-cd/lockstep/internal/reconcile"
	"github.com/lockstep-cd/lockstep/internal/release"
	"github.com/lockstep-cd/lockstep/internal/webhook"
)

// site is a cluster with Lockstep in it and a Git host with the environments qa and
// production. What is under test is done with the rights of reconcile's account; the
// host is taken for a GitHub, which without a webhook URL nobody asks anything.
type site struct {
	*clustertest.Cluster
	host         *gittest.Server
	environments *gittest.Repository
	repositories map[string]*gittest.Repository
	known        *environment.Environments
	insecure     []string
}

func start(t *testing.T) *site {
	t.Helper()
	on := clustertest.Start(t)
	t.Setenv("KUBECONFIG", on.Lockstep(t))
	s := &site{Cluster: on, host: gittest.NewServer(t), repositories: map[string]*gittest.Repository{}, known: &environment.Environments{}}
	for _, name := range []string{"qa", "production"} {
		s.repositories[name] = s.host.Create("acme/"+name, gittest.Files{"Chart.yaml": "apiVersion: v2\nname: " + name + "\nversion: 0.1.0\n"})
		s.known.Environments = append(s.known.Environments, environment.Environment{
			Name: name, Repository: s.repositories[name].URL, Namespace: s.Short() + "-" + name,
		})
		s.RemoveNamespaces(t, s.namespace(name), s.runs(name))
	}
	s.environments = s.host.Create("acme/environments-"+s.Short(), gittest.Files{"environments.yaml": "environments: []\n"})
	return s
}

func (s *site) namespace(name string) string { return s.Short() + "-" + name }
func (s *site) runs(name string) string      { return s.Short() + "-" + name + "-lockstep" }

func (s *site) reconciler(t *testing.T, ctx context.Context) *reconcile.Reconciler {
	t.Helper()
	client, err := cluster.Connect(ctx, s.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	return &reconcile.Reconciler{
		Site:  provision.Site{Client: client, Namespace: s.Namespace, Environments: s.environments.URL, Forge: forge.GitHub, Insecure: s.insecure},
		Known: s.known, Connect: cluster.Connect,
		Open: func(url string) (*git.Remote, error) { return git.NewRemote(url, git.Access{RetryFor: time.Second}) },
	}
}

// reconcile looks at qa, as the program does.
func (s *site) reconcile(t *testing.T) reconcile.Result {
	t.Helper()
	return s.reconciler(t, t.Context()).Environments(t.Context(), s.known.Environments[:1])[0]
}

func (s *site) expect(t *testing.T, what string, outcome reconcile.Outcome) reconcile.Result {
	t.Helper()
	result := s.reconcile(t)
	if result.Outcome != outcome {
		t.Fatalf("%s: %s (%s, changed %v, drift %v), want %s", what, result.Outcome, result.Reason, result.Changed, result.Drift, outcome)
	}
	return result
}

func (s *site) pipelineRuns(t *testing.T, name string) map[string]unstructured.Unstructured {
	t.Helper()
	list, err := s.Objects(t, "tekton.dev/v1", "PipelineRun", s.runs(name)).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]unstructured.Unstructured{}
	for _, o := range list.Items {
		found[o.GetName()] = o
	}
	return found
}

func (s *site) expectRuns(t *testing.T, n int) {
	t.Helper()
	if found := s.pipelineRuns(t, "qa"); len(found) != n {
		t.Fatalf("there are %d runs, want %d: %v", len(found), n, slices.Sorted(maps.Keys(found)))
	}
}

// end says of a run what Tekton says in the end.
func (s *site) end(t *testing.T, run string) {
	t.Helper()
	patch := fmt.Sprintf(`{"status":{"completionTime":%q}}`, time.Now().UTC().Format(time.RFC3339))
	if _, err := s.Objects(t, "tekton.dev/v1", "PipelineRun", s.runs("qa")).Patch(t.Context(), run, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

// record says what became of qa's tip, as the program record does.
func (s *site) record(t *testing.T, state environment.State, revision int) {
	t.Helper()
	r := s.repositories["qa"]
	note, err := json.Marshal(environment.Record{
		State: state, Environment: "qa", Commit: r.Head("main"), Run: s.runs("qa") + "/one", Revision: revision, Reason: "Unhealthy",
		Started: time.Now().Add(-time.Second), Finished: time.Now().Truncate(time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Git("notes", "--ref=lockstep", "append", "-m", string(note), r.Head("main"))
}

// deploy deploys a chart with two ConfigMaps for qa's tip, as the program helm-apply does,
// with the rights that reconcile has there, which are the same.
func (s *site) deploy(t *testing.T) int {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"Chart.yaml": "apiVersion: v2\nname: qa\nversion: 0.1.0\n"}
	for _, name := range []string{"one", "two"} {
		files["templates/"+name+".yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {key: value}\n"
	}
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := chart.Load(t.Context(), dir, chart.Options{Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	client, err := cluster.Connect(t.Context(), s.namespace("qa"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := release.Open(client, "qa")
	if err != nil {
		t.Fatal(err)
	}
	revision, err := r.Deploy(release.Deployment{Chart: loaded, Commit: s.repositories["qa"].Head("main"), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// TestRow12: what is missing is made and started, once. The run is the one that a push
// of the same commit would start.
func TestRow12(t *testing.T) {
	s := start(t)
	s.insecure = []string{"registry.local:5000", "other.local"}
	result := s.expect(t, "a new environment", reconcile.Started)
	if result.Run == "" || len(result.Changed) != 22 || string(result.Commit) != s.repositories["qa"].Head("main") {
		t.Errorf("got %+v", result)
	}
	again := s.expect(t, "the second time", reconcile.Running)
	if again.Run != result.Run || len(again.Changed) > 0 {
		t.Errorf("got %+v, the run is %s", again, result.Run)
	}
	s.expectRuns(t, 1)

	run := s.pipelineRuns(t, "qa")[result.Run]
	pushed := s.push(t)
	if !reflect.DeepEqual(run.Object["spec"], pushed.Object["spec"]) {
		t.Errorf("the run is\n%v\nand for a push\n%v", run.Object["spec"], pushed.Object["spec"])
	}
	if !maps.Equal(run.GetAnnotations(), pushed.GetAnnotations()) || run.GetLabels()[provision.EnvironmentLabel] != pushed.GetLabels()[provision.EnvironmentLabel] {
		t.Errorf("the run has %v and %v, for a push %v and %v", run.GetAnnotations(), run.GetLabels(), pushed.GetAnnotations(), pushed.GetLabels())
	}
	text, err := json.Marshal(run.Object)
	if err != nil || strings.Contains(string(text), "$(") {
		t.Errorf("not everything is filled in: %s", text)
	}
}

// push is the run that the environment's own Trigger and listener start for a push of
// the tip, by Tekton's code.
func (s *site) push(t *testing.T) unstructured.Unstructured {
	t.Helper()
	var text strings.Builder
	for _, o := range s.Snapshot(t, s.runs("qa")) {
		if !strings.HasPrefix(o.GetAPIVersion(), "triggers.") {
			continue
		}
		o.SetManagedFields(nil)
		document, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "---\n%s\n", document)
	}
	secrets := webhook.Secrets{s.runs("qa"): {"lockstep-webhook": {"secret": []byte("key")}}}
	listener, err := webhook.New([]webhook.Source{{Name: "cluster", Namespace: s.runs("qa"), YAML: []byte(text.String())}}, secrets)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"ref": "refs/heads/main", "before": strings.Repeat("0", 40), "after": s.repositories["qa"].Head("main"),
		"repository": map[string]any{"full_name": "acme/qa", "clone_url": s.repositories["qa"].URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write(body)
	got, err := listener.Receive(t.Context(), s.runs("qa"), webhook.Request{Body: body, URL: "/", Header: http.Header{
		"Content-Type": {"application/json"}, "X-Github-Event": {"push"}, "X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
	}})
	if err != nil || len(got.Resources) != 1 {
		t.Fatalf("a push starts %+v, %v", got, err)
	}
	var o unstructured.Unstructured
	if err := o.UnmarshalJSON(got.Resources[0].Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestRow13: a push that nobody heard of is found; one run at a time.
func TestRow13(t *testing.T) {
	s := start(t)
	first := s.expect(t, "a new environment", reconcile.Started)
	s.repositories["qa"].Commit("second", gittest.Files{"values.yaml": "a: b\n"})
	s.expect(t, "a push while a run is under way", reconcile.Running)
	s.end(t, first.Run)
	second := s.expect(t, "a push that nobody heard of", reconcile.Started)
	params, _, _ := unstructured.NestedSlice(s.pipelineRuns(t, "qa")[second.Run].Object, "spec", "params")
	if note := s.pipelineRuns(t, "qa")[second.Run]; note.GetAnnotations()["lockstep.dev/commit"] != s.repositories["qa"].Head("main") || len(params) == 0 {
		t.Errorf("the run is %v", note.Object)
	}
	s.expectRuns(t, 2)
}

// TestSeveralAtOnce: several reconcile at the same time; one run comes of it, and no
// error.
func TestSeveralAtOnce(t *testing.T) {
	s := start(t)
	const several = 4
	reconcilers := make([]*reconcile.Reconciler, several)
	for i := range reconcilers {
		reconcilers[i] = s.reconciler(t, t.Context())
	}
	results := make([]reconcile.Result, several)
	var all sync.WaitGroup
	for i := range results {
		all.Go(func() { results[i] = reconcilers[i].Environments(t.Context(), s.known.Environments[:1])[0] })
	}
	all.Wait()
	for _, result := range results {
		if result.Err != nil || result.Outcome != reconcile.Started && result.Outcome != reconcile.Running || result.Run != results[0].Run {
			t.Errorf("got %s, run %s, %v", result.Outcome, result.Run, result.Err)
		}
	}
	s.expectRuns(t, 1)
}

// TestRunsWithoutRecord: a run may die before it says anything. It is started again,
// and not for ever.
func TestRunsWithoutRecord(t *testing.T) {
	s := start(t)
	for range 3 {
		s.end(t, s.expect(t, "without a record", reconcile.Started).Run)
	}
	result := s.expect(t, "after three runs", reconcile.Failing)
	if !strings.Contains(result.Reason, "3 runs") || result.Err != nil {
		t.Errorf("got %+v", result)
	}
	s.expectRuns(t, 3)
	s.repositories["qa"].Commit("second", nil)
	s.expect(t, "with a new tip", reconcile.Started)
	s.expectRuns(t, 4)
}

func TestDeployed(t *testing.T) {
	s := start(t)
	s.end(t, s.expect(t, "a new environment", reconcile.Started).Run)
	s.record(t, environment.Verified, s.deploy(t))
	if result := s.expect(t, "deployed", reconcile.Unchanged); len(result.Changed)+len(result.Drift) > 0 {
		t.Errorf("got %+v", result)
	}

	gone := s.Objects(t, "v1", "ConfigMap", s.namespace("qa"))
	if err := gone.Delete(t.Context(), "one", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if result := s.expect(t, "without an object", reconcile.Drifted); !slices.Equal(result.Drift, []string{"ConfigMap one is missing"}) || result.Err != nil {
		t.Errorf("got %+v", result)
	}
	if _, err := gone.Patch(t.Context(), "two", types.MergePatchType, []byte(`{"data":{"key":"other"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if result := s.expect(t, "with another object changed", reconcile.Drifted); !slices.Equal(result.Drift, []string{"ConfigMap one is missing", "ConfigMap two differs in data.key"}) {
		t.Errorf("got %+v", result)
	}
	if _, err := gone.Get(t.Context(), "one", metav1.GetOptions{}); !cluster.IsNotFound(err) {
		t.Errorf("drift was mended: %v", err)
	}

	time.Sleep(1100 * time.Millisecond) // records count seconds
	s.record(t, environment.Failed, 2)
	if result := s.expect(t, "with a failed record", reconcile.Failing); !strings.Contains(result.Reason, "Unhealthy") || result.Err != nil {
		t.Errorf("got %+v", result)
	}
	s.expectRuns(t, 1)
	s.repositories["qa"].Commit("second", nil)
	s.expect(t, "with a new tip", reconcile.Started)
	s.expectRuns(t, 2)
}

// TestReleaseNamespaceDeleted: it is provisioned again and started, in spite of the
// record that says that it is deployed, and not for ever.
func TestReleaseNamespaceDeleted(t *testing.T) {
	s := start(t)
	s.end(t, s.expect(t, "a new environment", reconcile.Started).Run)
	s.record(t, environment.Verified, s.deploy(t))
	time.Sleep(1100 * time.Millisecond) // records count seconds
	if err := s.Objects(t, "v1", "Namespace", "").Delete(t.Context(), s.namespace("qa"), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the end of the namespace", func() error {
		time.Sleep(100 * time.Millisecond)
		if _, err := s.Kubernetes.CoreV1().Namespaces().Get(t.Context(), s.namespace("qa"), metav1.GetOptions{}); !cluster.IsNotFound(err) {
			return fmt.Errorf("it is there, %w", err)
		}
		return nil
	})
	result := s.expect(t, "without the namespace", reconcile.Started)
	if want := []string{"Namespace " + s.namespace("qa"), "RoleBinding lockstep-reconcile", "RoleBinding lockstep-deploy"}; !slices.Equal(result.Changed, want) {
		t.Errorf("changed %v, want %v", result.Changed, want)
	}
	s.end(t, result.Run)
	for range 2 {
		s.end(t, s.expect(t, "the run did nothing", reconcile.Started).Run)
	}
	s.expect(t, "after three such runs", reconcile.Failing)
	s.expectRuns(t, 4)
	time.Sleep(1100 * time.Millisecond)
	s.record(t, environment.Verified, s.deploy(t))
	s.expect(t, "deployed again", reconcile.Unchanged)
}

// TestCreated: something was missing, and nothing had to be deployed.
func TestCreated(t *testing.T) {
	s := start(t)
	s.end(t, s.expect(t, "a new environment", reconcile.Started).Run)
	s.record(t, environment.Verified, s.deploy(t))
	if err := s.Objects(t, "tekton.dev/v1", "Task", s.runs("qa")).Delete(t.Context(), "deploy", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if result := s.expect(t, "without a Task", reconcile.Created); !slices.Equal(result.Changed, []string{"Task deploy"}) {
		t.Errorf("got %+v", result)
	}
}

// TestRow48: one environment that is out of reach and one whose namespace is taken keep
// no other back, and both are reported.
func TestRow48(t *testing.T) {
	s := start(t)
	taken := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	taken.SetName(s.Short() + "-taken")
	s.Apply(t, taken)
	s.RemoveNamespaces(t, taken.GetName())
	s.known.Environments = slices.Concat([]environment.Environment{
		{Name: "away", Repository: "http://127.0.0.1:1/acme/away.git", Namespace: s.Short() + "-away"},
		{Name: "taken", Repository: s.repositories["qa"].URL, Namespace: taken.GetName()},
		{Name: "argo", Repository: s.repositories["qa"].URL, File: "{application}.yaml"},
	}, s.known.Environments)
	for _, want := range []reconcile.Outcome{reconcile.Started, reconcile.Running} {
		results := s.reconciler(t, t.Context()).Environments(t.Context(), s.known.Environments)
		got := map[string]reconcile.Outcome{}
		for _, r := range results {
			got[r.Environment] = r.Outcome
		}
		if all := map[string]reconcile.Outcome{"away": reconcile.Failed, "taken": reconcile.Refused, "qa": want, "production": want}; !maps.Equal(got, all) {
			t.Errorf("got %v, want %v", got, all)
		}
		err := reconcile.Err(results)
		if err == nil || !strings.Contains(err.Error(), "away: ") || !strings.Contains(err.Error(), "taken: ") || strings.Contains(err.Error(), "qa: ") {
			t.Errorf("got %v", err)
		}
	}
	if left := s.Snapshot(t, s.Short()+"-away", s.Short()+"-taken-lockstep"); len(left) > 0 {
		t.Errorf("made %v", slices.Sorted(maps.Keys(left)))
	}
}

func TestDryRun(t *testing.T) {
	s := start(t)
	dry := s.reconciler(t, t.Context())
	dry.Site.DryRun = true
	result := dry.Environments(t.Context(), s.known.Environments[:1])[0]
	if result.Outcome != reconcile.Started || result.Run != "" || len(result.Changed) != 22 || !result.DryRun {
		t.Errorf("got %+v", result)
	}
	if made := s.Snapshot(t, s.namespace("qa"), s.runs("qa")); len(made) > 0 {
		t.Errorf("it made %v", slices.Sorted(maps.Keys(made)))
	}
	s.end(t, s.expect(t, "then", reconcile.Started).Run)
	result = dry.Environments(t.Context(), s.known.Environments[:1])[0]
	if result.Outcome != reconcile.Started || result.Run != "" || len(result.Changed) != 0 {
		t.Errorf("got %+v", result)
	}
	s.expectRuns(t, 1)
}

// TestGone: what is not in the file any more goes where a commit says so, and nowhere
// else.
func TestGone(t *testing.T) {
	s := start(t)
	r := s.reconciler(t, t.Context())
	results := r.Environments(t.Context(), s.known.Environments)
	if err := reconcile.Err(results); err != nil {
		t.Fatal(err)
	}
	in, err := git.NewRemote(s.environments.URL, git.Access{})
	if err != nil {
		t.Fatal(err)
	}
	gone := func() []reconcile.Result { return r.Gone(t.Context(), in, "") }
	if got := gone(); len(got) > 0 {
		t.Errorf("with all in the file: %+v", got)
	}

	all := s.known.Environments
	s.known.Environments = nil // somebody emptied the file
	s.environments.Commit("chore: tidy up\n\nLockstep-Operation: edit-environment\nLockstep-Environment: qa", nil)
	s.environments.Commit("chore: delete environment qa", nil) // it says so, and not where programs look
	for _, result := range gone() {
		if result.Outcome != reconcile.Orphaned || result.Err != nil || len(result.Changed) > 0 || !strings.Contains(result.Reason, "lockstep delete environment "+result.Environment) {
			t.Errorf("without a commit: %+v", result)
		}
	}
	s.expectLive(t, "qa", true)
	s.expectLive(t, "production", true)

	s.environments.Commit("chore: delete environment qa\n\nLockstep-Operation: delete-environment\nLockstep-Environment: qa", nil)
	s.environments.Commit("chore: delete environment production\n\nLockstep-Operation: delete-environment\nLockstep-Environment: production", nil)
	s.environments.Commit("chore: create environment production\n\nLockstep-Operation: create-environment\nLockstep-Environment: production", nil)

	// Those of another environments.yaml are not ours.
	others := *r
	others.Site.Environments += "-of-others"
	if got := others.Gone(t.Context(), in, ""); len(got) > 0 {
		t.Errorf("others take away %+v", got)
	}
	dry := *r
	dry.Site.DryRun = true
	if got := dry.Gone(t.Context(), in, ""); len(got) != 2 || got[1].Outcome != reconcile.Deleted || !got[1].DryRun || len(got[1].Changed) != 2 {
		t.Errorf("a dry run: %+v", got)
	}
	s.expectLive(t, "qa", true)

	got := gone()
	if len(got) != 2 || got[0].Environment != "production" || got[0].Outcome != reconcile.Orphaned || got[1].Environment != "qa" || got[1].Outcome != reconcile.Deleted || reconcile.Err(got) != nil {
		t.Errorf("got %+v", got)
	}
	s.expectLive(t, "qa", false)
	s.expectLive(t, "production", true)
	if got := gone(); len(got) != 1 {
		t.Errorf("the second time: %+v", got)
	}
	s.known.Environments = all[1:]
	if got := gone(); len(got) != 0 {
		t.Errorf("with production in the file again: %+v", got)
	}
}

// expectLive: an environment has its namespaces and its rights, or they are going.
func (s *site) expectLive(t *testing.T, name string, live bool) {
	t.Helper()
	for _, namespace := range []string{s.namespace(name), s.runs(name)} {
		found, err := s.Kubernetes.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
		if is := err == nil && found.DeletionTimestamp == nil; is != live {
			t.Errorf("namespace %s is there: %v, want %v", namespace, is, live)
		}
	}
	_, err := s.Kubernetes.RbacV1().ClusterRoleBindings().Get(t.Context(), "lockstep-webhook-"+s.runs(name), metav1.GetOptions{})
	if is := err == nil; is != live {
		t.Errorf("its ClusterRoleBinding is there: %v, want %v", is, live)
	}
}

// TestGoneWithoutHistory: where the history of environments.yaml cannot be read, nothing goes.
func TestGoneWithoutHistory(t *testing.T) {
	s := start(t)
	s.expect(t, "a new environment", reconcile.Started)
	s.known.Environments = nil
	in, err := git.NewRemote("http://127.0.0.1:1/environments.git", git.Access{RetryFor: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	got := s.reconciler(t, t.Context()).Gone(t.Context(), in, "")
	if len(got) != 1 || got[0].Outcome != reconcile.Failed || fault.Of(reconcile.Err(got)).Kind != fault.KindRetryable {
		t.Errorf("got %+v", got)
	}
	s.expectLive(t, "qa", true)
}
