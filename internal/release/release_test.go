package release_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	helm "helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/release"
)

const (
	first  = "1111111111111111111111111111111111111111"
	second = "2222222222222222222222222222222222222222"
)

// files of a chart by path.
type files map[string]string

func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %q}\n", name, value)
}

// load writes a chart and loads it as helm-apply does.
func load(t *testing.T, content files) *chart.Chart {
	t.Helper()
	dir := t.TempDir()
	if _, ok := content["Chart.yaml"]; !ok {
		content["Chart.yaml"] = "apiVersion: v2\nname: staging\nversion: 0.1.0\n"
	}
	for path, text := range content {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := chart.Load(t.Context(), dir, chart.Options{Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, on *clustertest.Cluster) *release.Release {
	t.Helper()
	r, err := release.Open(on.Client(t), "staging")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func deploy(t *testing.T, r *release.Release, commit string, content files) (int, error) {
	t.Helper()
	return r.Deploy(release.Deployment{Chart: load(t, content), Commit: commit, Timeout: 20 * time.Second})
}

func mustDeploy(t *testing.T, r *release.Release, commit string, content files) int {
	t.Helper()
	revision, err := deploy(t, r, commit, content)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func last(t *testing.T, r *release.Release) *release.Revision {
	t.Helper()
	v, err := r.Last()
	if err != nil || v == nil {
		t.Fatalf("last revision: %v, %v", v, err)
	}
	return v
}

// helmOf is Helm as a user has it, with nothing of ours.
func helmOf(t *testing.T, on *clustertest.Cluster) *action.Configuration {
	t.Helper()
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig, flags.Namespace = &on.Kubeconfig, &on.Namespace
	config := &action.Configuration{}
	if err := config.Init(flags, on.Namespace, "secret", func(string, ...any) {}); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestHelmWorksOnWhatIsLeft(t *testing.T) {
	on := clustertest.Start(t)
	r := open(t, on)
	mustDeploy(t, r, first, files{"templates/a.yaml": configMap("a", "one"), "templates/NOTES.txt": "hello"})
	mustDeploy(t, r, second, files{"templates/a.yaml": configMap("a", "two")})

	config := helmOf(t, on)
	listed, err := action.NewList(config).Run()
	if err != nil || len(listed) != 1 || listed[0].Version != 2 || listed[0].Info.Status != helm.StatusDeployed {
		t.Fatalf("helm list: %+v, %v", listed, err)
	}
	status, err := action.NewStatus(config).Run("staging")
	if err != nil || status.Info.Description != "Deployed commit "+second {
		t.Errorf("helm status: %+v, %v", status.Info, err)
	}
	history, err := action.NewHistory(config).Run("staging")
	if err != nil || len(history) != 2 {
		t.Fatalf("helm history: %d revisions, %v", len(history), err)
	}
	back := action.NewRollback(config)
	back.Version = 1
	if err := back.Run("staging"); err != nil {
		t.Fatalf("helm rollback: %v", err)
	}
	if got := value(t, on, "a"); got != "one" {
		t.Errorf("after the rollback the value is %q", got)
	}
	// The rollback copied the labels of revision 1: they must not be believed.
	if v := last(t, r); v.Number != 3 || v.Commit != "" {
		t.Errorf("after a rollback by hand: revision %d, commit %q", v.Number, v.Commit)
	}
	mustDeploy(t, r, second, files{"templates/a.yaml": configMap("a", "two")})
	if got := value(t, on, "a"); got != "two" {
		t.Errorf("after deploying again the value is %q", got)
	}
}

func value(t *testing.T, on *clustertest.Cluster, name string) string {
	t.Helper()
	m, err := on.Kubernetes.CoreV1().ConfigMaps(on.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m.Data["key"]
}

func TestUnchangedIsTheSameCommitAndValues(t *testing.T) {
	r := open(t, clustertest.Start(t))
	mustDeploy(t, r, first, files{"templates/a.yaml": configMap("a", "one")})
	v := last(t, r)
	if !v.Unchanged(release.Deployment{Commit: first}) {
		t.Error("the same commit counts as changed")
	}
	if v.Unchanged(release.Deployment{Commit: second}) {
		t.Error("another commit counts as unchanged")
	}
	if v.Unchanged(release.Deployment{Commit: first, Values: map[string]any{"a": 1}}) {
		t.Error("other values count as unchanged")
	}
	if v.Unchanged(release.Deployment{}) {
		t.Error("no commit counts as unchanged")
	}
}

func TestDriftIsFoundAndMended(t *testing.T) {
	on := clustertest.Start(t)
	r := open(t, on)
	chart := files{"templates/a.yaml": configMap("a", "one"), "templates/b.yaml": configMap("b", "one")}
	mustDeploy(t, r, first, chart)
	if drift, err := r.Drift(last(t, r)); err != nil || len(drift) != 0 {
		t.Fatalf("drift of a fresh release: %v, %v", drift, err)
	}
	maps := on.Kubernetes.CoreV1().ConfigMaps(on.Namespace)
	if _, err := maps.Patch(t.Context(), "a", types.MergePatchType, []byte(`{"data":{"key":"edited","more":"x"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	drift, err := r.Drift(last(t, r))
	if err != nil || len(drift) != 2 || drift[0].String() != "ConfigMap a differs in data.key" || drift[1].String() != "ConfigMap b is missing" {
		t.Fatalf("drift: %v, %v", drift, err)
	}
	mustDeploy(t, r, first, chart)
	if got := value(t, on, "a"); got != "one" {
		t.Errorf("the value is %q", got)
	}
	if got := value(t, on, "b"); got != "one" {
		t.Errorf("the value is %q", got)
	}
}

const job = `apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations: {ANNOTATIONS}
spec:
  template:
    spec:
      schedulerName: clustertest
      restartPolicy: Never
      containers: [{name: migrate, image: "example.com/migrate:VERSION"}]
`

func migrate(version, annotations string) string {
	return strings.NewReplacer("VERSION", version, "ANNOTATIONS", annotations).Replace(job)
}

func TestRow20_HalfAppliedReleaseConverges(t *testing.T) {
	on := clustertest.Start(t)
	r := open(t, on)
	mustDeploy(t, r, first, files{"templates/a.yaml": configMap("a", "one"), "templates/job.yaml": migrate("1", "")})
	// ConfigMaps come before Jobs: a and extra are applied, the Job refuses.
	revision, err := deploy(t, r, second, files{
		"templates/a.yaml": configMap("a", "two"), "templates/extra.yaml": configMap("extra", "x"), "templates/job.yaml": migrate("2", "")})
	if err == nil || revision != 2 {
		t.Fatalf("revision %d, %v", revision, err)
	}
	if v := last(t, r); v.Status != "failed" || v.Commit != second {
		t.Errorf("recorded as %s of %s", v.Status, v.Commit)
	}
	if deployed, err := r.Deployed(); err != nil || deployed.Commit != first {
		t.Errorf("deployed: %+v, %v", deployed, err)
	}
	if last(t, r).Unchanged(release.Deployment{Commit: second}) {
		t.Error("a failed revision counts as unchanged")
	}
	// What the failed revision brought and the next one lacks must go.
	mustDeploy(t, r, "3333333333333333333333333333333333333333", files{"templates/a.yaml": configMap("a", "three"), "templates/job.yaml": migrate("1", "")})
	if got := value(t, on, "a"); got != "three" {
		t.Errorf("the value is %q", got)
	}
	if _, err := on.Kubernetes.CoreV1().ConfigMaps(on.Namespace).Get(t.Context(), "extra", metav1.GetOptions{}); err == nil {
		t.Error("the failed revision's object is still there")
	}
}

func TestRow21_ImmutableFieldIsNamed(t *testing.T) {
	r := open(t, clustertest.Start(t))
	mustDeploy(t, r, first, files{"templates/job.yaml": migrate("1", "")})
	_, err := deploy(t, r, second, files{"templates/job.yaml": migrate("2", "")})
	if err == nil || !strings.Contains(err.Error(), "Job migrate: spec.template: field is immutable") {
		t.Fatalf("got %v", err)
	}
	if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "ImmutableField" {
		t.Errorf("%v, %s", f.Kind, f.Reason)
	}
}

func TestRow21_AnnotatedObjectIsRecreated(t *testing.T) {
	on := clustertest.Start(t)
	r := open(t, on)
	mustDeploy(t, r, first, files{"templates/job.yaml": migrate("1", "lockstep.dev/recreate: \"true\"")})
	mustDeploy(t, r, second, files{"templates/job.yaml": migrate("2", "lockstep.dev/recreate: \"true\"")})
	got, err := on.Kubernetes.BatchV1().Jobs(on.Namespace).Get(t.Context(), "migrate", metav1.GetOptions{})
	if err != nil || got.Spec.Template.Spec.Containers[0].Image != "example.com/migrate:2" {
		t.Errorf("%v, %v", got.Spec.Template.Spec.Containers, err)
	}
}

// TestInvalidObjectIsRefusedForGood has the API server's own answer to an object
// that no repetition makes valid.
func TestInvalidObjectIsRefusedForGood(t *testing.T) {
	r := open(t, clustertest.Start(t))
	const service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 99999}]}\n"
	_, err := deploy(t, r, first, files{"templates/service.yaml": service})
	if err == nil || !strings.Contains(err.Error(), "Service web: spec.ports[0].port: must be between 1 and 65535") {
		t.Fatalf("got %v", err)
	}
	if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "ObjectRefused" {
		t.Errorf("%v, %s", f.Kind, f.Reason)
	}
}

func TestRow30_ObjectOfTwoSubChartsIsRefused(t *testing.T) {
	on := clustertest.Start(t)
	r := open(t, on)
	_, err := deploy(t, r, first, files{
		"Chart.yaml":                      "apiVersion: v2\nname: staging\nversion: 0.1.0\n",
		"charts/user/Chart.yaml":          "apiVersion: v2\nname: user\nversion: 1.0.0\n",
		"charts/user/templates/x.yaml":    configMap("settings", "user"),
		"charts/billing/Chart.yaml":       "apiVersion: v2\nname: billing\nversion: 1.0.0\n",
		"charts/billing/templates/y.yaml": configMap("settings", "billing"),
	})
	if err == nil {
		t.Fatal("applied one object twice")
	}
	for _, words := range []string{"ConfigMap settings", "staging/charts/user/templates/x.yaml", "staging/charts/billing/templates/y.yaml"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q does not name %q", err, words)
		}
	}
	if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "DuplicateObject" {
		t.Errorf("%v, %s", f.Kind, f.Reason)
	}
	if v, err := r.Last(); v != nil || err != nil {
		t.Errorf("something was recorded: %v, %v", v, err)
	}
}

// pend leaves the release as a deployment does that was killed in the middle.
func pend(t *testing.T, on *clustertest.Cluster, status helm.Status, labels map[string]string) {
	t.Helper()
	config := helmOf(t, on)
	record, err := config.Releases.Last("staging")
	if err != nil {
		t.Fatal(err)
	}
	next := *record
	next.Version++
	next.Info = &helm.Info{Status: status, FirstDeployed: record.Info.FirstDeployed, LastDeployed: record.Info.LastDeployed}
	next.Labels = labels
	if err := config.Releases.Create(&next); err != nil {
		t.Fatal(err)
	}
}

func TestRow18_PendingReleaseOfADeadRunContinues(t *testing.T) {
	for _, status := range []helm.Status{helm.StatusPendingInstall, helm.StatusPendingUpgrade, helm.StatusPendingRollback} {
		t.Run(status.String(), func(t *testing.T) {
			on := clustertest.Start(t)
			r := open(t, on)
			mustDeploy(t, r, first, files{"templates/a.yaml": configMap("a", "one")})
			pend(t, on, status, map[string]string{release.CommitLabel: second, release.RevisionLabel: "2"})
			if err := r.Recover(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			if v := last(t, r); v.Status != "failed" {
				t.Fatalf("status %s", v.Status)
			}
			if got := mustDeploy(t, r, second, files{"templates/a.yaml": configMap("a", "two")}); got != 3 {
				t.Errorf("revision %d", got)
			}
		})
	}
}

func TestRow18_PendingReleaseOfHelmIsWaitedFor(t *testing.T) {
	on := clustertest.Start(t)
	r := open(t, on)
	mustDeploy(t, r, first, files{"templates/a.yaml": configMap("a", "one")})
	// A helm command that is at work took over the labels of revision 1.
	pend(t, on, helm.StatusPendingUpgrade, map[string]string{release.CommitLabel: first, release.RevisionLabel: "1"})
	done := make(chan error, 1)
	go func() { done <- r.Recover(t.Context(), time.Minute) }()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(time.Second):
	}
	config := helmOf(t, on)
	record, err := config.Releases.Last("staging")
	if err != nil {
		t.Fatal(err)
	}
	record.SetStatus(helm.StatusDeployed, "done by hand")
	if err := config.Releases.Update(record); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if v := last(t, r); v.Status != "deployed" {
		t.Errorf("status %s", v.Status)
	}
}

func TestRow18_PendingReleaseOfHelmIsNotWaitedForForEver(t *testing.T) {
	on := clustertest.Start(t)
	r := open(t, on)
	mustDeploy(t, r, first, files{"templates/a.yaml": configMap("a", "one")})
	pend(t, on, helm.StatusPendingUpgrade, nil)
	if err := r.Recover(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	if v := last(t, r); v.Status != "failed" {
		t.Errorf("status %s", v.Status)
	}
}

func TestRow16_StoppedDeploymentIsRecordedAsFailed(t *testing.T) {
	on := clustertest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client, err := connect(ctx, on)
	if err != nil {
		t.Fatal(err)
	}
	r, err := release.Open(client, "staging")
	if err != nil {
		t.Fatal(err)
	}
	hook := strings.Replace(migrate("1", `helm.sh/hook: pre-install`), "name: migrate", "name: hook", 1)
	go func() {
		clustertest.Eventually(t, "the hook", func() error {
			_, err := on.Kubernetes.BatchV1().Jobs(on.Namespace).Get(context.WithoutCancel(t.Context()), "hook", metav1.GetOptions{})
			return err
		})
		cancel()
	}()
	start := time.Now()
	_, err = r.Deploy(release.Deployment{Commit: first, Timeout: time.Minute,
		Chart: load(t, files{"templates/a.yaml": configMap("a", "one"), "templates/hook.yaml": hook})})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if v := last(t, open(t, on)); v.Status != "failed" {
		t.Errorf("left %s", v.Status)
	}
}

func TestRow46_SecretsStayOutOfErrorsAndPlans(t *testing.T) {
	const canary = "canary-5a1f-value"
	on := clustertest.Start(t)
	r := open(t, on)
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: {{ .Values.password | quote }}}\n"
	content := files{"templates/secret.yaml": secret, "values.yaml": "password: " + canary + "\n"}
	mustDeploy(t, r, first, content)
	t.Run("plan", func(t *testing.T) {
		content["values.yaml"] = "password: " + canary + "-2\n"
		plan, err := r.Plan(release.Deployment{Chart: load(t, content), Commit: second})
		if err != nil || len(plan) == 0 {
			t.Fatalf("%v, %v", plan, err)
		}
		if text := fmt.Sprintf("%+v", plan); strings.Contains(text, canary) || strings.Contains(text, "Y2FuYXJ5") {
			t.Errorf("the plan shows the secret: %s", text)
		}
	})
	t.Run("error", func(t *testing.T) {
		content["templates/fail.yaml"] = `{{ fail (printf "cannot use %s" .Values.password) }}`
		_, err := r.Deploy(release.Deployment{Chart: load(t, content), Commit: second, Values: map[string]any{"password": canary}})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("the error is %v", err)
		}
	})
}
