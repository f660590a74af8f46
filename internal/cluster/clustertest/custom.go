package clustertest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// Dynamic reaches objects of any kind.
func (c *Cluster) Dynamic(t testing.TB) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// CustomResource defines the kind Widget in an API group of the test's own,
// with a spec and a status of any content. No controller looks at it.
func (c *Cluster) CustomResource(t testing.TB) schema.GroupVersionResource {
	t.Helper()
	widgets := schema.GroupVersionResource{Group: c.Namespace + ".example.com", Version: "v1", Resource: "widgets"}
	name := widgets.Resource + "." + widgets.Group
	definitions := c.Dynamic(t).Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	anything := map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	_, err := definitions.Create(context.Background(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"group": widgets.Group, "scope": "Namespaced",
			"names": map[string]any{"plural": "widgets", "kind": "Widget"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"subresources": map[string]any{"status": map[string]any{}},
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "properties": map[string]any{"spec": anything, "status": anything},
				}},
			}},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("define Widget: %v", err)
	}
	t.Cleanup(func() { _ = definitions.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	Eventually(t, "the kind Widget", func() error {
		if _, err := c.Dynamic(t).Resource(widgets).Namespace(c.Namespace).List(context.Background(), metav1.ListOptions{}); err != nil {
			return err
		}
		found, err := c.Kubernetes.Discovery().ServerResourcesForGroupVersion(widgets.GroupVersion().String())
		if err == nil && len(found.APIResources) == 0 {
			err = errors.New("not discovered yet")
		}
		if err != nil {
			return fmt.Errorf("discover: %w", err)
		}
		return nil
	})
	return widgets
}
