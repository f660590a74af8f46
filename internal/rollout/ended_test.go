package rollout_test

import (
	"fmt"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/rollout"
)

// ends are ways in which a pod ends for good and stays. The container's state is
// what a kubelet may leave, which would be a cause in a pod that still counts.
func ends() map[string]string {
	const waiting = `[{"name":"web","image":"i","imageID":"","ready":false,"restartCount":5,"state":{"waiting":{"reason":"ImagePullBackOff","message":"not found"}}}]`
	all := map[string]string{"succeeded": `{"phase":"Succeeded","conditions":null,"containerStatuses":null}`}
	for _, reason := range []string{"Evicted", "OutOfcpu", "NodeAffinity", "UnexpectedAdmissionError", "Terminated"} {
		all[reason] = fmt.Sprintf(`{"phase":"Failed","reason":%q,"message":"gone","conditions":null,"containerStatuses":%s}`, reason, waiting)
	}
	return all
}

func TestRow52_EndedPodsOfADeploymentDoNotCount(t *testing.T) {
	for name, status := range ends() {
		t.Run(name, func(t *testing.T) {
			on := clustertest.Start(t)
			client := on.Client(t)
			wait := func(image string) {
				t.Helper()
				if err := rollout.Wait(t.Context(), client, apply(t, client, deployment(image, defaultScheduler)), options()); err != nil {
					t.Fatal(err)
				}
			}
			wait("example.com/web:1")
			stage(t, on, pod(t, on, any1), status)
			wait("example.com/web:1")
			wait("example.com/web:2")
			list, err := on.Kubernetes.CoreV1().Pods(on.Namespace).List(t.Context(), metav1.ListOptions{})
			if err != nil || len(list.Items) < 2 {
				t.Errorf("the ended pod is not there any more: %v", err)
			}
		})
	}
}

// While the pod that replaces it is still on its way, an ended one is no cause.
func TestRow52_EndedPodIsNoCause(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	objects := apply(t, client, deployment("example.com/web:1", clustertest.Unscheduled))
	first := pod(t, on, any1)
	stage(t, on, first, ends()["Evicted"])
	second := pod(t, on, func(p *core.Pod) bool { return p.UID != first.UID })
	o := options()
	o.Timeout = 5 * time.Second
	wants(t, rollout.Wait(t.Context(), client, objects, o), "NotReady", "Deployment web")
	stage(t, on, second, `{"phase":"Running","conditions":[{"type":"Ready","status":"True"},{"type":"ContainersReady","status":"True"}]}`)
	if err := rollout.Wait(t.Context(), client, objects, options()); err != nil {
		t.Error(err)
	}
}

// A ReplicaSet of its own keeps ended pods as a Deployment does.
func TestRow52_EndedPodOfAReplicaSet(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	objects := apply(t, client, `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.com/web:1"}]}
`)
	stage(t, on, pod(t, on, any1), ends()["OutOfcpu"])
	if err := rollout.Wait(t.Context(), client, objects, options()); err != nil {
		t.Error(err)
	}
}

// A retry of a Job's pod leaves the failed one; only the Job's status decides.
func TestRow52_FailedPodOfARunningJob(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	objects := apply(t, client, migration(""))
	first := pod(t, on, any1)
	stage(t, on, first, ends()["Evicted"])
	second := pod(t, on, func(p *core.Pod) bool { return p.UID != first.UID })
	stage(t, on, second, `{"phase":"Succeeded"}`)
	if err := rollout.Wait(t.Context(), client, objects, options()); err != nil {
		t.Error(err)
	}
}

// Nothing replaces a pod that stands in the chart itself.
func TestRow52_EvictedPodOfTheChartFails(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	objects := apply(t, client, "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nspec: {schedulerName: clustertest, containers: [{name: web, image: i}]}\n")
	stage(t, on, pod(t, on, any1), ends()["Evicted"])
	wants(t, rollout.Wait(t.Context(), client, objects, options()), "RolloutFailed", "Pod web", "Evicted")
}

func migration(more string) string {
	return fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  %s
  template:
    metadata: {labels: {app: web}}
    spec:
      schedulerName: clustertest
      restartPolicy: Never
      containers: [{name: web, image: "example.com/migrate:1"}]
`, more)
}
