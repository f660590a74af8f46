package release_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/release"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// things defines the kind Thing in the versions v1beta1 and v1.
func things(t *testing.T, on *clustertest.Cluster) schema.GroupVersionResource {
	t.Helper()
	at := schema.GroupVersionResource{Group: on.Namespace + ".example.com", Version: "v1", Resource: "things"}
	anything := map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
	_, err := on.Dynamic(t).Resource(definitions).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": at.GroupResource().String()},
		"spec": map[string]any{
			"group": at.Group, "scope": "Namespaced", "names": map[string]any{"plural": at.Resource, "kind": "Thing"},
			"versions": []any{
				map[string]any{"name": "v1beta1", "served": true, "storage": false, "schema": anything},
				map[string]any{"name": "v1", "served": true, "storage": true, "schema": anything},
			},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = on.Dynamic(t).Resource(definitions).Delete(context.Background(), at.GroupResource().String(), metav1.DeleteOptions{})
	})
	served(t, on, at.Group, "v1beta1", true)
	served(t, on, at.Group, "v1", true)
	return at
}

// served waits until discovery has a version with its kind, or has it no more.
func served(t *testing.T, on *clustertest.Cluster, group, version string, want bool) {
	t.Helper()
	clustertest.Eventually(t, version, func() error {
		found, err := on.Kubernetes.Discovery().ServerResourcesForGroupVersion(group + "/" + version)
		if has := err == nil && len(found.APIResources) > 0; has != want {
			return errors.Join(err, fmt.Errorf("served: %v", has))
		}
		return nil
	})
}

func thing(at schema.GroupVersionResource, version string, num int) string {
	return fmt.Sprintf("apiVersion: %s/%s\nkind: Thing\nmetadata: {name: t}\nspec: {num: %d}\n", at.Group, version, num)
}

func TestRow62_VersionThatIsGone(t *testing.T) {
	on := clustertest.Start(t)
	r := open(t, on)
	at := things(t, on)
	live := func() *unstructured.Unstructured {
		t.Helper()
		o, err := on.Dynamic(t).Resource(at).Namespace(on.Namespace).Get(t.Context(), "t", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	mustDeploy(t, r, first, files{"templates/t.yaml": thing(at, "v1beta1", 1)})
	before := live().GetUID()
	if _, err := on.Dynamic(t).Resource(definitions).Patch(t.Context(), at.GroupResource().String(), types.JSONPatchType,
		[]byte(`[{"op":"replace","path":"/spec/versions/0/served","value":false}]`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	served(t, on, at.Group, "v1beta1", false)

	r = open(t, on)
	if drift, err := r.Drift(last(t, r)); err != nil || len(drift) > 0 {
		t.Errorf("drift: %v, %v", drift, err)
	}
	next := files{"templates/t.yaml": thing(at, "v1", 2)}
	plan, err := r.Plan(release.Deployment{Chart: load(t, next), Commit: second})
	if err != nil || len(plan) != 1 || plan[0].Removed || plan[0].Missing {
		t.Errorf("plan: %+v, %v", plan, err)
	}
	mustDeploy(t, r, second, next)
	o := live()
	if num, _, _ := unstructured.NestedInt64(o.Object, "spec", "num"); num != 2 || o.GetUID() != before {
		t.Errorf("num is %d, the same object: %v", num, o.GetUID() == before)
	}
}

func TestRow62_KindThatIsGone(t *testing.T) {
	on := clustertest.Start(t)
	r := open(t, on)
	at := things(t, on)
	mustDeploy(t, r, first, files{"templates/a.yaml": configMap("a", "one"), "templates/t.yaml": thing(at, "v1", 1)})
	// A failed revision that had the kind as well is read for what it left.
	if _, err := deploy(t, r, second, files{"templates/t.yaml": thing(at, "v1", 2), "templates/extra.yaml": configMap("extra", "x"),
		"templates/job.yaml": strings.Replace(migrate("1", ""), "restartPolicy: Never", "restartPolicy: Always", 1)}); err == nil {
		t.Fatal("applied a Job that is wrong")
	}
	if err := on.Dynamic(t).Resource(definitions).Delete(t.Context(), at.GroupResource().String(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	served(t, on, at.Group, "v1", false)

	r = open(t, on)
	deployed, err := r.Deployed()
	if err != nil {
		t.Fatal(err)
	}
	if drift, err := r.Drift(deployed); err != nil || len(drift) != 1 || drift[0].Object != "Thing t" || !drift[0].Missing {
		t.Errorf("drift: %v, %v", drift, err)
	}
	if _, err := r.Objects(deployed); fault.Of(err).Reason != "KindMissing" {
		t.Errorf("objects: %v", err)
	}
	mustDeploy(t, r, "3333333333333333333333333333333333333333", files{"templates/a.yaml": configMap("a", "two")})
	if got := value(t, on, "a"); got != "two" {
		t.Errorf("the value is %q", got)
	}
	if _, err := on.Kubernetes.CoreV1().ConfigMaps(on.Namespace).Get(t.Context(), "extra", metav1.GetOptions{}); err == nil {
		t.Error("an object of the failed revision is left")
	}
}
