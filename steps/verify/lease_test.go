package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/release"
)

// neverReady deploys a release whose pod gets no node.
func neverReady(t *testing.T, client *cluster.Client) {
	t.Helper()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: staging\nversion: 0.1.0\n",
		"templates/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {schedulerName: ` + clustertest.Unscheduled + `, containers: [{name: web, image: "example.com/web:1"}]}
`,
	} {
		path = filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := chart.Load(t.Context(), dir, chart.Options{Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	rel, err := release.Open(client, "staging")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rel.Deploy(release.Deployment{Chart: loaded, Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
}

// verifying is a run of verify for ci/run-1, which holds the lease for a duration.
func verifying(t *testing.T, client *cluster.Client, kept, timeout time.Duration) *config {
	t.Helper()
	neverReady(t, client)
	if _, err := client.Acquire(t.Context(), cluster.LeaseOptions{Name: release.LeaseName("staging"), Holder: "ci/run-1", For: kept, Wait: time.Second}); err != nil {
		t.Fatal(err)
	}
	return &config{Path: ".", Release: "staging", Namespace: client.Namespace(), Run: "ci/run-1", Timeout: timeout, CrashLimit: 3, Grace: time.Hour}
}

// TestRow26_TheLeaseIsRenewed: verification takes longer than the lease was kept for. The run
// still has it, and what was found is noted there.
func TestRow26_TheLeaseIsRenewed(t *testing.T) {
	on := clustertest.Start(t)
	t.Setenv("KUBECONFIG", on.Kubeconfig)
	client := on.Client(t)
	c := verifying(t, client, 4*time.Second, 9*time.Second)
	next, failed := make(chan *cluster.Lease, 1), make(chan error, 1)
	go func() {
		lease, err := client.Acquire(t.Context(), cluster.LeaseOptions{Name: release.LeaseName("staging"), Holder: "ci/run-2", For: time.Minute, Wait: time.Minute})
		failed <- err
		next <- lease
	}()
	if err := run(t.Context(), c); fault.Of(err).Kind != fault.KindUnverified {
		t.Errorf("verify: %v (%s)", err, fault.Of(err).Reason)
	}
	state, err := client.ReadLease(t.Context(), release.LeaseName("staging"), "ci/run-1")
	if err != nil || !state.Held || state.Notes["verification"] != unhealthy || state.Notes["exit-code"] != "4" {
		t.Errorf("the lease tells %+v, %v", state, err)
	}
	if err := client.EndLease(t.Context(), release.LeaseName("staging"), "ci/run-1"); err != nil {
		t.Error(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if lease := <-next; lease.Previous != "" {
		t.Errorf("%s had let its lease expire", lease.Previous)
	}
}

// TestRow26_ALostLeaseEndsTheVerification: another run has the lease, so what this one sees is
// not what it deployed.
func TestRow26_ALostLeaseEndsTheVerification(t *testing.T) {
	on := clustertest.Start(t)
	t.Setenv("KUBECONFIG", on.Kubeconfig)
	client := on.Client(t)
	c := verifying(t, client, 2*time.Second, time.Hour)
	leases := on.Kubernetes.CoordinationV1().Leases(on.Namespace)
	before, err := leases.Get(t.Context(), release.LeaseName("staging"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run(t.Context(), c) }()
	clustertest.Eventually(t, "the first renewal", func() error {
		now, err := leases.Get(t.Context(), before.Name, metav1.GetOptions{})
		if err == nil && now.Spec.RenewTime.Equal(before.Spec.RenewTime) {
			err = fmt.Errorf("it was renewed at %s", now.Spec.RenewTime)
		}
		return err
	})
	if _, err := leases.Patch(t.Context(), before.Name, types.MergePatchType, []byte(`{"spec":{"holderIdentity":"ci/run-2"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; fault.Of(err).Reason != "LeaseLost" || fault.Of(err).Kind != fault.KindRetryable || c.Outcome != "failed" {
		t.Errorf("%s: %v", c.Outcome, err)
	}
}
