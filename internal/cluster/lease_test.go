package cluster_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
)

func options(holder string) cluster.LeaseOptions {
	return cluster.LeaseOptions{Name: "lockstep-web", Holder: holder, For: time.Minute, Wait: 20 * time.Second}
}

func TestLeaseIsHeldByOneAtATime(t *testing.T) {
	client := clustertest.Start(t).Client(t)
	var inside, most atomic.Int32
	done := make(chan error)
	const runs = 6
	for i := range runs {
		go func() {
			done <- func() error {
				lease, err := client.Acquire(t.Context(), options("run-"+string(rune('a'+i))))
				if err != nil {
					return err
				}
				if now := inside.Add(1); now > most.Load() {
					most.Store(now)
				}
				inside.Add(-1)
				return lease.Release(t.Context())
			}()
		}()
	}
	for range runs {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if most.Load() != 1 {
		t.Errorf("%d held the lease at once", most.Load())
	}
}

func TestLeaseWaitSaysWhoHoldsIt(t *testing.T) {
	client := clustertest.Start(t).Client(t)
	if _, err := client.Acquire(t.Context(), options("ci/run-1")); err != nil {
		t.Fatal(err)
	}
	told := ""
	o := options("ci/run-2")
	o.Wait = time.Second
	o.Waiting = func(holder string, _ time.Time) { told = holder }
	_, err := client.Acquire(t.Context(), o)
	if !errors.Is(err, cluster.ErrLeaseHeld) {
		t.Fatalf("got %v, want ErrLeaseHeld", err)
	}
	if told != "ci/run-1" {
		t.Errorf("the wait named %q as the holder", told)
	}
}

func TestLeaseIsHandedOverAtOnce(t *testing.T) {
	client := clustertest.Start(t).Client(t)
	first, err := client.Acquire(t.Context(), options("run-1"))
	if err != nil {
		t.Fatal(err)
	}
	waiting, got := make(chan bool, 1), make(chan error, 1)
	go func() {
		o := options("run-2")
		o.Waiting = func(string, time.Time) { waiting <- true }
		_, err := client.Acquire(t.Context(), o)
		got <- err
	}()
	<-waiting
	start := time.Now()
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("handing over took %s: the wait does not watch", took)
	}
}

func TestRow17_LeaseOfADeadHolderExpires(t *testing.T) {
	client := clustertest.Start(t).Client(t)
	dead := options("run-1")
	dead.For = time.Second
	if _, err := client.Acquire(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	lease, err := client.Acquire(t.Context(), options("run-2"))
	if err != nil {
		t.Fatal(err)
	}
	if lease.Previous != "run-1" {
		t.Errorf("the dead holder is %q", lease.Previous)
	}
}

func TestLeaseMayBeTakenAgainByItsHolder(t *testing.T) {
	client := clustertest.Start(t).Client(t)
	for range 2 {
		if _, err := client.Acquire(t.Context(), options("run-1")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLeaseThatWasLostIsNotEndedForOthers(t *testing.T) {
	shared := clustertest.Start(t)
	client := shared.Client(t)
	short := options("run-1")
	short.For = time.Second
	lost, err := client.Acquire(t.Context(), short)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Acquire(t.Context(), options("run-2")); err != nil {
		t.Fatal(err)
	}
	if err := lost.Release(t.Context()); !errors.Is(err, cluster.ErrLeaseLost) {
		t.Errorf("release: %v, want ErrLeaseLost", err)
	}
	if err := lost.Extend(t.Context(), time.Minute); !errors.Is(err, cluster.ErrLeaseLost) {
		t.Errorf("extend: %v, want ErrLeaseLost", err)
	}
	held, err := shared.Kubernetes.CoordinationV1().Leases(shared.Namespace).Get(t.Context(), "lockstep-web", metav1.GetOptions{})
	if err != nil || *held.Spec.HolderIdentity != "run-2" {
		t.Errorf("held by %v, %v", held.Spec.HolderIdentity, err)
	}
}

// Seen from a machine whose clock is an hour behind the server's, a lease is
// written and judged by the server's clock.
func TestRow45_LeaseTimesAreTheServers(t *testing.T) {
	shared := clustertest.Start(t)
	proxy := shared.Proxy(t)
	proxy.Skew.Store(int64(time.Hour))
	client := shared.ClientWith(t, proxy.Kubeconfig)
	o := options("run-1")
	o.For = 2 * time.Second
	if _, err := client.Acquire(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	lease, err := shared.Kubernetes.CoordinationV1().Leases(shared.Namespace).Get(t.Context(), "lockstep-web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ahead := time.Until(lease.Spec.RenewTime.Time); ahead < 59*time.Minute || ahead > 61*time.Minute {
		t.Errorf("renewTime is %s ahead of this machine's clock, the server an hour", ahead)
	}
	if _, err := client.Acquire(t.Context(), options("run-2")); err != nil {
		t.Errorf("the lease of a dead holder did not expire: %v", err)
	}
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	client := clustertest.Start(t).Client(t)
	if _, err := client.Acquire(t.Context(), options("run-1")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := options("run-2")
	o.Waiting = func(string, time.Time) { cancel() }
	if _, err := client.Acquire(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
