package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
)

const (
	// fieldManager is Helm's, so that `helm upgrade` by hand goes on with the
	// same fields.
	fieldManager = "helm"
	// parallel bounds how many objects of one kind are applied at once.
	parallel = 8
	// releaseAnnotation is Helm's mark of the release that owns an object.
	releaseAnnotation = "meta.helm.sh/release-name"
)

// Applier is Helm's Kubernetes client as this project needs it: objects of one
// kind are applied in parallel, an unchanged object costs one read, errors name
// object and field, and waiting ends with the client's context.
type Applier struct {
	*kube.Client
	client *Client
	alive  context.Context

	// Release owns what is applied. Only its objects are ever deleted.
	Release string
	// Leftovers are objects of earlier, failed revisions. Those that the
	// target lacks are deleted like those of the original.
	Leftovers kube.ResourceList
	// Recorded are the manifests of the release's revisions.
	Recorded map[string]bool
}

var _ kube.InterfaceThreeWayMerge = (*Applier)(nil)
var _ kube.InterfaceExt = (*Applier)(nil)

// Applier applies objects for one release.
func (c *Client) Applier(release string) *Applier {
	return &Applier{Client: c.helm(), client: c, alive: c.alive, Release: release}
}

// Create creates objects, kind after kind.
func (a *Applier) Create(resources kube.ResourceList) (*kube.Result, error) {
	err := eachKind(resources, func(info *resource.Info) error { return create(info) })
	return &kube.Result{Created: resources}, err
}

// UpdateThreeWayMerge is Update: three-way merging is the only way here.
func (a *Applier) UpdateThreeWayMerge(original, target kube.ResourceList, _ bool) (*kube.Result, error) {
	return a.Update(original, target, false)
}

// Update makes the objects of target what target says, and deletes what
// original has and target lacks. Changes that others made to fields of target
// are undone, also in custom resources. force is not supported: replacing
// objects throws away what controllers have written into them.
func (a *Applier) Update(original, target kube.ResourceList, _ bool) (*kube.Result, error) {
	var mu sync.Mutex
	result := &kube.Result{}
	scalers := a.client.autoscalersAmong(contentsIn(target))
	err := eachKind(target, func(info *resource.Info) error {
		created, err := a.apply(info, original.Get(info), scalers)
		mu.Lock()
		defer mu.Unlock()
		if created {
			result.Created = append(result.Created, info)
		} else {
			result.Updated = append(result.Updated, info)
		}
		return err
	})
	if err != nil {
		return result, err
	}
	for _, info := range slices.Concat(original, a.Leftovers).Difference(target) {
		if err := a.prune(info); err != nil {
			return result, err
		}
		result.Deleted = append(result.Deleted, info)
	}
	return result, nil
}

// eachKind calls do for the objects, those of one kind in parallel, and stops
// after the first kind with an error: what follows may need it.
func eachKind(resources kube.ResourceList, do func(*resource.Info) error) error {
	for len(resources) > 0 {
		n := 1
		for n < len(resources) && resources[n].Mapping.GroupVersionKind == resources[0].Mapping.GroupVersionKind {
			n++
		}
		errs := make([]error, n)
		var group errgroup.Group
		group.SetLimit(parallel)
		for i, info := range resources[:n] {
			group.Go(func() error { errs[i] = do(info); return nil })
		}
		_ = group.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		resources = resources[n:]
	}
	return nil
}

// apply brings one object to what info says. original is what the release had
// before, nil when it had none.
func (a *Applier) apply(info, original *resource.Info, scalers *autoscalers) (created bool, err error) {
	live, err := helperOf(info).Get(info.Namespace, info.Name)
	if apierrors.IsNotFound(err) {
		return true, create(info)
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", nameOf(info), err)
	}
	kind, patch, err := scalers.patchOf(info, original, live)
	if err != nil {
		return false, err
	}
	if patch == nil {
		return false, info.Refresh(live, true)
	}
	changed, err := helperOf(info).Patch(info.Namespace, info.Name, kind, patch, nil)
	if err == nil {
		slog.Info("changed", "object", nameOf(info))
		return false, info.Refresh(changed, true)
	}
	if isImmutable(err) && mayRecreate(info) {
		return true, a.recreate(info)
	}
	return false, applyError("change", info, err)
}

func create(info *resource.Info) error {
	created, err := helperOf(info).Create(info.Namespace, true, info.Object)
	if err != nil {
		return applyError("create", info, err)
	}
	slog.Info("created", "object", nameOf(info))
	return info.Refresh(created, true)
}

// recreate deletes an object, waits until it is gone, and creates it anew.
func (a *Applier) recreate(info *resource.Info) error {
	policy := metav1.DeletePropagationForeground
	if _, err := helperOf(info).DeleteWithOptions(info.Namespace, info.Name, &metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil && !apierrors.IsNotFound(err) {
		return applyError("delete", info, err)
	}
	const patience, pause = time.Minute, 200 * time.Millisecond
	for end := time.Now().Add(patience); time.Now().Before(end); {
		_, err := helperOf(info).Get(info.Namespace, info.Name)
		if apierrors.IsNotFound(err) {
			slog.Warn("recreated, because an immutable field changed", "object", nameOf(info))
			return create(info)
		}
		if err != nil {
			return applyError("read", info, err)
		}
		select {
		case <-a.alive.Done():
			return fmt.Errorf("delete %s to create it again: %w", nameOf(info), context.Cause(a.alive))
		case <-time.After(pause):
		}
	}
	return fmt.Errorf("delete %s to create it anew: not gone after %s", nameOf(info), patience)
}

// prune deletes an object that the release no longer has, unless somebody
// else has taken it over or the chart says to keep it.
func (a *Applier) prune(info *resource.Info) error {
	live, err := helperOf(info).Get(info.Namespace, info.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return applyError("read", info, err)
	}
	annotations, err := meta.NewAccessor().Annotations(live)
	if err != nil {
		return fmt.Errorf("read the annotations of %s: %w", nameOf(info), err)
	}
	if annotations[kube.ResourcePolicyAnno] == kube.KeepPolicy || annotations[releaseAnnotation] != a.Release {
		slog.Info("left alone, although no longer in the chart", "object", nameOf(info))
		return nil
	}
	policy := metav1.DeletePropagationBackground
	if _, err := helperOf(info).DeleteWithOptions(info.Namespace, info.Name, &metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil && !apierrors.IsNotFound(err) {
		return applyError("delete", info, err)
	}
	slog.Info("deleted", "object", nameOf(info))
	return nil
}

// WatchUntilReady waits for hooks, as Helm does, but no longer than the
// client's context.
func (a *Applier) WatchUntilReady(resources kube.ResourceList, timeout time.Duration) error {
	return a.bounded("wait for hooks", func() error { return a.Client.WatchUntilReady(resources, timeout) })
}

// WaitForDelete waits until objects are gone, but no longer than the client's
// context.
func (a *Applier) WaitForDelete(resources kube.ResourceList, timeout time.Duration) error {
	return a.bounded("wait for deletion", func() error { return a.Client.WaitForDelete(resources, timeout) })
}

// bounded calls wait, which takes no context, and leaves it behind when the
// client's ends. Its requests end as well, so that it does no harm.
func (a *Applier) bounded(what string, wait func() error) error {
	done := make(chan error, 1)
	go func() { done <- wait() }()
	select {
	case err := <-done:
		return err
	case <-a.alive.Done():
		return fmt.Errorf("%s: %w", what, context.Cause(a.alive))
	}
}

func contentsIn(resources kube.ResourceList) []*unstructured.Unstructured {
	var contents []*unstructured.Unstructured
	for _, info := range resources {
		if content := contentOf(info.Object); content != nil {
			contents = append(contents, content)
		}
	}
	return contents
}

func helperOf(info *resource.Info) *resource.Helper {
	return resource.NewHelper(info.Client, info.Mapping).WithFieldManager(fieldManager)
}

// patchOf computes what must be sent to bring live to what info says; nil when
// nothing must. Without an original, nothing is removed.
func (a *autoscalers) patchOf(info, original *resource.Info, live runtime.Object) (types.PatchType, []byte, error) {
	if original == nil {
		original = info
	}
	kind, patch, err := a.threeWay(info, original.Object, live)
	if err != nil {
		return kind, nil, fmt.Errorf("compare %s with the live object: %w", nameOf(info), err)
	}
	if string(patch) == "{}" {
		return kind, nil, nil
	}
	return kind, patch, nil
}
