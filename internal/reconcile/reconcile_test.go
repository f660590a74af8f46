package reconcile_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/provision"
	"github.com/lockstep-cd/lockstep/internal/reconcile"
	"github.com/lockstep-cd/lockstep/internal/webhook"
)

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
