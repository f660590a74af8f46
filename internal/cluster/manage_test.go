package cluster_test

import (
	"context"
	"testing"
	"time"

	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

var configMaps = cluster.Kind{APIVersion: "v1", Kind: "ConfigMap"}

func configMap(namespace string, data map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": data}}
	o.SetName("one")
	o.SetNamespace(namespace)
	return o
}

// TestEnsure: it is made, changed where it is not what it should be, and otherwise left;
// what others add stays, what is not wanted any more goes.
func TestEnsure(t *testing.T) {
	on := clustertest.Start(t)
	c := on.Client(t)
	version := func() string {
		t.Helper()
		o, err := c.Get(t.Context(), configMaps, on.Namespace, "one")
		if err != nil || o == nil {
			t.Fatalf("got %v, %v", o, err)
		}
		return o.GetResourceVersion()
	}
	ensure := func(want bool, data map[string]any) {
		t.Helper()
		for _, dry := range []bool{true, false} {
			if changed, err := c.Ensure(t.Context(), configMap(on.Namespace, data), dry); err != nil || changed != want {
				t.Errorf("%v, dry %v: changed %v, %v", data, dry, changed, err)
			}
		}
	}
	if o, err := c.Get(t.Context(), configMaps, on.Namespace, "one"); err != nil || o != nil {
		t.Errorf("before: %v, %v", o, err)
	}
	ensure(true, map[string]any{"a": "1", "b": "2"})
	before := version()
	ensure(false, map[string]any{"a": "1", "b": "2"})
	if version() != before {
		t.Error("what is right was written")
	}
	if _, err := on.Kubernetes.CoreV1().ConfigMaps(on.Namespace).Patch(t.Context(), "one", types.MergePatchType, []byte(`{"data":{"a":"other","theirs":"3"}}`), metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	ensure(true, map[string]any{"a": "1"})
	o, err := on.Kubernetes.CoreV1().ConfigMaps(on.Namespace).Get(t.Context(), "one", metav1.GetOptions{})
	if err != nil || len(o.Data) != 2 || o.Data["a"] != "1" || o.Data["theirs"] != "3" {
		t.Errorf("got %v, %v", o.Data, err)
	}
	if _, err := c.Create(t.Context(), configMap(on.Namespace, nil)); !cluster.IsAlreadyExists(err) {
		t.Errorf("created again: %v", err)
	}
	for range 2 {
		if err := c.Delete(t.Context(), configMaps, on.Namespace, "one"); err != nil {
			t.Error(err)
		}
	}
	if o, err := c.Get(t.Context(), configMaps, on.Namespace, "one"); err != nil || o != nil {
		t.Errorf("deleted: %v, %v", o, err)
	}
	_, err = c.Get(t.Context(), cluster.Kind{APIVersion: "example.com/v1", Kind: "Nothing"}, on.Namespace, "one")
	if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "KindMissing" {
		t.Errorf("an unknown kind: %v", err)
	}
}

// TestEnsureAwaitsRights: a right that comes around a moment later is waited for; a dry
// run takes what it may not read for missing.
func TestEnsureAwaitsRights(t *testing.T) {
	on := clustertest.Start(t)
	role := &rbac.Role{ObjectMeta: metav1.ObjectMeta{Name: "manager"}}
	c := on.ClientWith(t, on.Account(t, role))
	wanted := configMap(on.Namespace, map[string]any{"a": "1"})
	if changed, err := c.Ensure(t.Context(), wanted, true); err != nil || !changed {
		t.Errorf("a dry run without rights: %v, %v", changed, err)
	}
	if _, err := c.Get(t.Context(), configMaps, on.Namespace, "one"); !cluster.IsForbidden(err) {
		t.Errorf("reading without rights: %v", err)
	}
	given := time.AfterFunc(time.Second, func() {
		role.Rules = []rbac.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "create", "patch"}}}
		if _, err := on.Kubernetes.RbacV1().Roles(on.Namespace).Update(context.Background(), role, metav1.UpdateOptions{}); err != nil {
			t.Error(err)
		}
	})
	defer given.Stop()
	if changed, err := c.Ensure(t.Context(), wanted, false); err != nil || !changed {
		t.Errorf("when the right comes: %v, %v", changed, err)
	}
}

func TestParse(t *testing.T) {
	objects, err := cluster.Parse([]byte("# nothing\n---\nkind: A\n---\n---\nkind: B\n"))
	if err != nil || len(objects) != 2 || objects[1].GetKind() != "B" {
		t.Errorf("got %v, %v", objects, err)
	}
	if _, err := cluster.Parse([]byte("kind: [")); err == nil {
		t.Error("no error")
	}
}
