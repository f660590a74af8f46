package reconcile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/provision"
	"github.com/lockstep-cd/lockstep/internal/reconcile"
	"github.com/lockstep-cd/lockstep/internal/release"
)

// site is a cluster with Lockstep in it and a Git host with the environments qa and
// production. What is under test is done with the rights of reconcile's account; the
// host is taken for a GitHub, which without a webhook URL nobody asks anything.
type site struct {
	*clustertest.Cluster
	client       *cluster.Client // of reconcile's account
	host         *gittest.Server
	environments *gittest.Repository
	repositories map[string]*gittest.Repository
	known        *environment.Environments
	insecure     []string
}

func start(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	on := clustertest.Start(t)
	s := &site{Cluster: on, client: on.ClientWith(t, on.Lockstep(t)), host: gittest.NewInProcessServer(t), repositories: map[string]*gittest.Repository{}, known: &environment.Environments{}}
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

func (s *site) runs(name string) string { return s.Short() + "-" + name + "-lockstep" }

func (s *site) reconciler(t *testing.T, ctx context.Context) *reconcile.Reconciler {
	t.Helper()
	client, err := s.client.In(ctx, s.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	return &reconcile.Reconciler{
		Site:  provision.Site{Client: client, Namespace: s.Namespace, Environments: s.environments.URL, Forge: forge.GitHub, Insecure: s.insecure},
		Known: s.known,
		Open:  func(url string) (*git.Remote, error) { return git.NewRemote(url, git.Access{RetryFor: time.Second}) },
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
	client, err := s.client.In(t.Context(), s.namespace("qa"))
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
