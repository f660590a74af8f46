package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// manager owns, for the API server, the fields that Ensure sets: others may set
// further ones.
const manager = "lockstep"

// Kind names what Get, List and Delete are about.
type Kind struct{ APIVersion, Kind string }

// resource is where objects of a kind are. A kind that the cluster does not have is
// a Refused fault KindMissing.
func (c *Client) resource(kind Kind, namespace string) (dynamic.ResourceInterface, error) {
	gvk := schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind)
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		return nil, fault.Refused("KindMissing", fmt.Errorf("the cluster has no %s of %s: %w", kind.Kind, kind.APIVersion, err),
			"Install what brings it: Tekton Pipelines and Tekton Triggers.")
	}
	if err != nil {
		return nil, fmt.Errorf("find out where %s of %s are: %w", kind.Kind, kind.APIVersion, err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

// IsForbidden reports whether err is the API server's "forbidden".
func IsForbidden(err error) bool { return apierrors.IsForbidden(err) }

// IsAlreadyExists reports whether err is the API server's "already exists".
func IsAlreadyExists(err error) bool { return apierrors.IsAlreadyExists(err) }

func kindOf(o *unstructured.Unstructured) Kind { return Kind{o.GetAPIVersion(), o.GetKind()} }

// Get reads an object; nil where there is none.
func (c *Client) Get(ctx context.Context, kind Kind, namespace, name string) (*unstructured.Unstructured, error) {
	at, err := c.resource(kind, namespace)
	if err != nil {
		return nil, err
	}
	found, err := at.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind.Kind, name, err)
	}
	return found, nil
}

// List reads the objects that have the labels of a selector ("": all).
func (c *Client) List(ctx context.Context, kind Kind, namespace, selector string) ([]unstructured.Unstructured, error) {
	at, err := c.resource(kind, namespace)
	if err != nil {
		return nil, err
	}
	list, err := at.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list %s in %q: %w", kind.Kind, namespace, err)
	}
	return list.Items, nil
}

// Bounds of the wait for a right that was given a moment ago.
const (
	rightsTime  = 10 * time.Second
	rightsPause = 200 * time.Millisecond
)

// Annotate sets one annotation of an object, whoever has made it, and leaves
// everything else as it is.
func (c *Client) Annotate(ctx context.Context, kind Kind, namespace, name, key, value string) error {
	at, err := c.resource(kind, namespace)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{key: value}}})
	if err != nil {
		return err
	}
	if _, err = at.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager + "-note"}); err != nil {
		return fmt.Errorf("annotate %s %s: %w", kind.Kind, name, err)
	}
	return nil
}

// Ensure makes an object what it says, by server-side apply, and takes fields over
// that somebody else has set otherwise. With dry it says only whether anything would
// change; what may not be read counts as missing, since the right may be a part of what
// a dry run does not make. A right that was given a moment ago may not have come around yet, so that a
// refusal is asked about again for some seconds.
func (c *Client) Ensure(ctx context.Context, object *unstructured.Unstructured, dry bool) (changed bool, err error) {
	at, err := c.resource(kindOf(object), object.GetNamespace())
	if err != nil {
		return false, err
	}
	for end := time.Now().Add(rightsTime); ; {
		changed, err = ensure(ctx, at, object, dry)
		if !apierrors.IsForbidden(err) || dry || time.Now().After(end) {
			break
		}
		select {
		case <-ctx.Done():
			return false, errors.Join(err, ctx.Err())
		case <-time.After(rightsPause):
		}
	}
	if err != nil {
		return false, fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return changed, nil
}

func ensure(ctx context.Context, at dynamic.ResourceInterface, object *unstructured.Unstructured, dry bool) (bool, error) {
	before, err := at.Get(ctx, object.GetName(), metav1.GetOptions{})
	switch {
	case dry && (apierrors.IsNotFound(err) || apierrors.IsForbidden(err)):
		return true, nil // its namespace may be missing as well, which a dry run cannot make
	case err != nil && !apierrors.IsNotFound(err):
		return false, err
	case err != nil:
		before = nil
	}
	options := metav1.ApplyOptions{FieldManager: manager, Force: true}
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	after, err := at.Apply(ctx, object.GetName(), object, options)
	if err != nil || before == nil {
		return err == nil, err
	}
	if dry {
		return len(changes(before, after, false)) > 0, nil
	}
	return before.GetResourceVersion() != after.GetResourceVersion(), nil
}

// Create makes an object and returns its name, which may come of a generateName. One of
// that name is an error that IsAlreadyExists knows.
func (c *Client) Create(ctx context.Context, object *unstructured.Unstructured) (name string, err error) {
	at, err := c.resource(kindOf(object), object.GetNamespace())
	if err != nil {
		return "", err
	}
	made, err := at.Create(ctx, object, metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		return "", fmt.Errorf("create %s %s: %w", object.GetKind(), object.GetName()+object.GetGenerateName(), err)
	}
	return made.GetName(), nil
}

// Delete removes an object and what belongs to it; that it is not there is no error.
func (c *Client) Delete(ctx context.Context, kind Kind, namespace, name string) error {
	at, err := c.resource(kind, namespace)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	if err := at.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s %s: %w", kind.Kind, name, err)
	}
	return nil
}

// Parse reads a manifest, a stream of YAML documents, without asking the cluster
// about it.
func Parse(manifest []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096); ; {
		var content map[string]any
		if err := decoder.Decode(&content); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, fmt.Errorf("read a manifest: %w", err)
		}
		if content != nil {
			objects = append(objects, &unstructured.Unstructured{Object: content})
		}
	}
}
