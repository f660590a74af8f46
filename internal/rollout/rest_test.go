package rollout_test

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/rollout"
)

func TestSuspendedJobIsHealthy(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	objects := apply(t, client, migration("suspend: true"))
	o := options()
	o.Timeout = 10 * time.Second
	if err := rollout.Wait(t.Context(), client, objects, o); err != nil {
		t.Fatal(err)
	}
	// Started by hand: that is no drift, and the same chart does not stop it.
	jobs := on.Kubernetes.BatchV1().Jobs(on.Namespace)
	if _, err := jobs.Patch(t.Context(), "migrate", types.MergePatchType, []byte(`{"spec":{"suspend":false}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if differences, err := client.Compare(objects, objects); err != nil || len(differences) > 0 {
		t.Errorf("%v, %v", differences, err)
	}
	apply(t, client, migration("suspend: true"))
	job, err := jobs.Get(t.Context(), "migrate", metav1.GetOptions{})
	if err != nil || *job.Spec.Suspend {
		t.Errorf("stopped again: %v", err)
	}
}

func TestJobSuspendedByHandIsNotHealthy(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	objects := apply(t, client, migration(""))
	if _, err := on.Kubernetes.BatchV1().Jobs(on.Namespace).Patch(t.Context(), "migrate", types.MergePatchType, []byte(`{"spec":{"suspend":true}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the suspension", func() error {
		job, err := on.Kubernetes.BatchV1().Jobs(on.Namespace).Get(t.Context(), "migrate", metav1.GetOptions{})
		if err == nil && job.Status.StartTime != nil {
			err = fmt.Errorf("still started")
		}
		return err
	})
	o := options()
	o.Timeout = 2 * time.Second
	wants(t, rollout.Wait(t.Context(), client, objects, o), "NotReady", "Job migrate", "suspended")
}

// A paused Deployment is healthy while there is nothing to roll out.
func TestPausedDeployment(t *testing.T) {
	on := clustertest.Start(t)
	client := on.Client(t)
	if err := rollout.Wait(t.Context(), client, apply(t, client, deployment("example.com/web:1", defaultScheduler)), options()); err != nil {
		t.Fatal(err)
	}
	paused := func(image string) string { return deployment(image, defaultScheduler) + "  paused: true\n" }
	if err := rollout.Wait(t.Context(), client, apply(t, client, paused("example.com/web:1")), options()); err != nil {
		t.Errorf("nothing to roll out: %v", err)
	}
	o := options()
	o.Timeout = 2 * time.Second
	wants(t, rollout.Wait(t.Context(), client, apply(t, client, paused("example.com/web:2")), o), "NotReady", "paused")
}
