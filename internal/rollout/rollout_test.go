package rollout_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/rollout"
)

// deployment renders a Deployment. With a scheduler of clustertest.Unscheduled
// its pods are left to the test.
func deployment(image, scheduler string, more ...string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      schedulerName: %s
      containers:
      - name: web
        image: %s
        %s
`, scheduler, image, strings.Join(more, "\n        "))
}

const defaultScheduler = "default-scheduler"

// apply applies a manifest and returns its objects.
func apply(t *testing.T, client *cluster.Client, manifest string) []cluster.Object {
	t.Helper()
	applier := client.Applier("web")
	target, err := applier.Build(strings.NewReader(manifest), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := applier.Update(nil, target, false); err != nil {
		t.Fatal(err)
	}
	objects, err := client.Objects(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func options() rollout.Options {
	return rollout.Options{Timeout: 40 * time.Second, CrashLimit: 3, Grace: 2 * time.Second}
}

// pod waits for a pod of the Deployment that satisfies want.
func pod(t *testing.T, on *clustertest.Cluster, want func(*core.Pod) bool) *core.Pod {
	var found *core.Pod
	clustertest.Eventually(t, "a pod", func() error {
		list, err := on.Kubernetes.CoreV1().Pods(on.Namespace).List(context.Background(), metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if want(&list.Items[i]) {
				found = &list.Items[i]
				return nil
			}
		}
		return fmt.Errorf("not among %d pods", len(list.Items))
	})
	return found
}

// stage writes a pod's status as a kubelet would: the nodes are simulated.
func stage(t *testing.T, on *clustertest.Cluster, p *core.Pod, status string) {
	t.Helper()
	_, err := on.Kubernetes.CoreV1().Pods(on.Namespace).Patch(context.Background(), p.Name, types.MergePatchType,
		[]byte(`{"status":`+status+`}`), metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
}

func any1(*core.Pod) bool { return true }

func reason(err error) string { return fault.Of(err).Reason }

// wants checks that err is an unverified fault of this reason that says words.
func wants(t *testing.T, err error, reason string, words ...string) {
	t.Helper()
	f := fault.Of(err)
	if err == nil || f.Kind != fault.KindUnverified || f.Reason != reason {
		t.Fatalf("got %s, %v", f.Reason, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func within(t *testing.T, limit time.Duration, start time.Time) {
	t.Helper()
	if took := time.Since(start); took > limit {
		t.Errorf("took %s, at most %s", took, limit)
	}
}

func TestHealthyDeployment(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	objects := apply(t, client, deployment("example.com/web:1", defaultScheduler))
	if err := rollout.Wait(t.Context(), client, objects, options()); err != nil {
		t.Fatal(err)
	}
}

// A controller that has not seen the newest generation yet still calls the
// object ready. Nobody reconciles this kind: its status is the test's.
func TestRow25_StatusOfAnOlderGenerationDoesNotCount(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	widgets := on.CustomResource(t)
	manifest := func(size int) string {
		return fmt.Sprintf("apiVersion: %s\nkind: Widget\nmetadata: {name: w}\nspec: {size: %d}\n", widgets.GroupVersion(), size)
	}
	apply(t, client, manifest(1))
	status := func(generation int) {
		_, err := on.Dynamic(t).Resource(widgets).Namespace(on.Namespace).Patch(t.Context(), "w", types.MergePatchType, fmt.Appendf(nil,
			`{"status":{"observedGeneration":%d,"conditions":[{"type":"Ready","status":"True"}]}}`, generation), metav1.PatchOptions{}, "status")
		if err != nil {
			t.Fatal(err)
		}
	}
	status(1)
	objects := apply(t, client, manifest(2))
	o := options()
	o.Timeout = 2 * time.Second
	wants(t, rollout.Wait(t.Context(), client, objects, o), "NotReady", "Widget w")
	status(2)
	if err := rollout.Wait(t.Context(), client, objects, options()); err != nil {
		t.Errorf("after the controller has seen it: %v", err)
	}
}

func TestOldPodsMustGo(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	for _, image := range []string{"example.com/web:1", "example.com/web:2"} {
		if err := rollout.Wait(t.Context(), client, apply(t, client, deployment(image, defaultScheduler)), options()); err != nil {
			t.Fatal(err)
		}
		list, err := on.Kubernetes.CoreV1().Pods(on.Namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list.Items {
			if p.DeletionTimestamp == nil && p.Spec.Containers[0].Image != image {
				t.Errorf("pod %s still runs %s", p.Name, p.Spec.Containers[0].Image)
			}
		}
	}
}

func TestRow24_ImageThatCannotBePulled(t *testing.T) {
	for name, waiting := range map[string]string{
		"not found":    `{"reason":"ErrImagePull","message":"failed to pull: example.com/web:9: not found"}`,
		"unauthorised": `{"reason":"ImagePullBackOff","message":"Back-off pulling image: 401 Unauthorized"}`,
		"bad name":     `{"reason":"InvalidImageName","message":"couldn't parse image name"}`,
	} {
		t.Run(name, func(t *testing.T) {
			on := clustertest.Start(t)
			client := on.Client(t)
			objects := apply(t, client, deployment("example.com/web:9", clustertest.Unscheduled))
			stage(t, on, pod(t, on, any1), `{"phase":"Pending","containerStatuses":[{"name":"web","image":"example.com/web:9","imageID":"","ready":false,"restartCount":0,"state":{"waiting":`+waiting+`}}]}`)
			start := time.Now()
			o := options()
			o.Grace = time.Minute
			err := rollout.Wait(t.Context(), client, objects, o)
			within(t, 5*time.Second, start)
			if got := reason(err); got != "ImagePullBackOff" && got != "InvalidImageName" {
				t.Errorf("reason %s", got)
			}
			wants(t, err, reason(err), "Deployment web", "container web")
		})
	}
}

func TestRow24_RegistryOutOfReachGetsAGrace(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	objects := apply(t, client, deployment("example.com/web:9", clustertest.Unscheduled))
	stage(t, on, pod(t, on, any1), `{"phase":"Pending","containerStatuses":[{"name":"web","image":"example.com/web:9","imageID":"","ready":false,"restartCount":0,"state":{"waiting":{"reason":"ErrImagePull","message":"dial tcp: i/o timeout"}}}]}`)
	start := time.Now()
	err := rollout.Wait(t.Context(), client, objects, options())
	wants(t, err, "ImagePullBackOff", "i/o timeout")
	if time.Since(start) < options().Grace {
		t.Error("failed before the grace was over")
	}
}

func TestRow24_CrashLoop(t *testing.T) {
	on := clustertest.Start(t)
	// No container is executed here, so the log is the test's as well.
	proxy := on.Proxy(t)
	proxy.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/log") {
			return false
		}
		if r.URL.Query().Get("previous") != "true" {
			t.Error("the log of the run that crashed was not asked for")
		}
		fmt.Fprintln(w, "starting with password canary-7c2e\npanic: no database")
		return true
	})
	client := on.ClientWith(t, proxy.Kubeconfig)
	secret := "---\napiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: canary-7c2e}\n"
	objects := apply(t, client, deployment("example.com/web:1", clustertest.Unscheduled)+secret)
	p := pod(t, on, any1)
	crashed := func(restarts int) string {
		return fmt.Sprintf(`{"phase":"Running","containerStatuses":[{"name":"web","image":"i","imageID":"","ready":false,"restartCount":%d,
			"state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 10s"}},
			"lastState":{"terminated":{"exitCode":2,"reason":"Error"}}}]}`, restarts)
	}
	stage(t, on, p, crashed(1))
	o := options()
	o.Timeout = 3 * time.Second
	if err := rollout.Wait(t.Context(), client, objects, o); reason(err) != "NotReady" {
		t.Fatalf("below the limit: %v", err)
	}
	stage(t, on, p, crashed(3))
	start := time.Now()
	err := rollout.Wait(t.Context(), client, objects, options())
	within(t, 5*time.Second, start)
	wants(t, err, "CrashLoopBackOff", "exit code 2", "panic: no database", "container web")
	if strings.Contains(err.Error(), "canary-7c2e") {
		t.Errorf("the log's secret shows: %v", err)
	}
}

func TestRow24_Quota(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	_, err := on.Kubernetes.CoreV1().ResourceQuotas(on.Namespace).Create(t.Context(), &core.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none"},
		Spec:       core.ResourceQuotaSpec{Hard: core.ResourceList{core.ResourcePods: resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the quota", func() error {
		quota, err := on.Kubernetes.CoreV1().ResourceQuotas(on.Namespace).Get(t.Context(), "none", metav1.GetOptions{})
		if err == nil && len(quota.Status.Hard) == 0 {
			err = fmt.Errorf("not counted yet")
		}
		return err
	})
	objects := apply(t, client, deployment("example.com/web:1", defaultScheduler))
	start := time.Now()
	err = rollout.Wait(t.Context(), client, objects, options())
	within(t, 5*time.Second, start)
	wants(t, err, "QuotaExceeded", "Deployment web", "exceeded quota: none")
}

func restrict(t *testing.T, on *clustertest.Cluster) {
	t.Helper()
	_, err := on.Kubernetes.CoreV1().Namespaces().Patch(t.Context(), on.Namespace, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRow24_AdmissionOfADeployment(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	restrict(t, on)
	objects := apply(t, client, deployment("example.com/web:1", defaultScheduler))
	start := time.Now()
	err := rollout.Wait(t.Context(), client, objects, options())
	within(t, 5*time.Second, start)
	wants(t, err, "AdmissionRefused", "Deployment web", "violates PodSecurity")
}

func TestRow24_AdmissionOfAStatefulSet(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	restrict(t, on)
	objects := apply(t, client, `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: "example.com/db:1"}]
`)
	start := time.Now()
	err := rollout.Wait(t.Context(), client, objects, options())
	within(t, 5*time.Second, start)
	wants(t, err, "AdmissionRefused", "StatefulSet db", "violates PodSecurity")
}

func TestRow24_UnschedulableAfterAGrace(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	objects := apply(t, client, deployment("example.com/web:1", defaultScheduler, `resources: {requests: {cpu: "9999"}}`))
	start := time.Now()
	err := rollout.Wait(t.Context(), client, objects, options())
	wants(t, err, "Unschedulable", "Deployment web", "Insufficient cpu")
	if time.Since(start) < options().Grace {
		t.Error("failed before the grace was over")
	}
}

// A failing pod of an older template is no cause: the new one is on its way.
func TestRow24_OldPodsAreNoCause(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	apply(t, client, deployment("example.com/web:bad", clustertest.Unscheduled))
	stage(t, on, pod(t, on, any1), `{"phase":"Pending","containerStatuses":[{"name":"web","image":"i","imageID":"","ready":false,"restartCount":0,"state":{"waiting":{"reason":"ImagePullBackOff","message":"not found"}}}]}`)
	objects := apply(t, client, deployment("example.com/web:good", defaultScheduler))
	if err := rollout.Wait(t.Context(), client, objects, options()); err != nil {
		t.Fatal(err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	objects := apply(t, client, deployment("example.com/web:1", clustertest.Unscheduled))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := rollout.Wait(ctx, client, objects, options())
	if err == nil || fault.Of(err).Kind == fault.KindUnverified {
		t.Errorf("got %v", err)
	}
}

func TestFailedJobShowsItsLog(t *testing.T) {
	on := clustertest.Start(t)
	proxy := on.Proxy(t)
	proxy.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/log") {
			return false
		}
		fmt.Fprintln(w, "column is missing")
		return true
	})
	client := on.ClientWith(t, proxy.Kubeconfig)
	objects := apply(t, client, `apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: web}}
    spec:
      schedulerName: clustertest
      restartPolicy: Never
      containers: [{name: web, image: "example.com/migrate:1"}]
`)
	stage(t, on, pod(t, on, any1), `{"phase":"Failed","containerStatuses":[{"name":"web","image":"i","imageID":"","ready":false,"restartCount":0,"state":{"terminated":{"exitCode":4}}}]}`)
	clustertest.Eventually(t, "the Job's failure", func() error {
		job, err := on.Kubernetes.BatchV1().Jobs(on.Namespace).Get(t.Context(), "migrate", metav1.GetOptions{})
		if err == nil && job.Status.Failed == 0 {
			err = fmt.Errorf("not counted yet")
		}
		return err
	})
	wants(t, rollout.Wait(t.Context(), client, objects, options()), "RolloutFailed", "Job migrate", "exit code 4", "column is missing")
}

func TestJobThatWasDeletedAfterItFinishedIsHealthy(t *testing.T) {
	client := clustertest.Start(t).Client(t)
	objects, err := client.Objects("apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate}\nspec: {ttlSecondsAfterFinished: 1}\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := rollout.Wait(t.Context(), client, objects, options()); err != nil {
		t.Error(err)
	}
	if differences, err := client.Compare(objects, objects); err != nil || len(differences) > 0 {
		t.Errorf("%v, %v", differences, err)
	}
}
