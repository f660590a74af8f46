package cluster

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// Source is one kind in one namespace ("" for kinds without), optionally
// narrowed by a field selector.
type Source struct {
	Resource  schema.GroupVersionResource
	Namespace string
	Fields    string
}

// View is a copy of some kinds that follows the cluster by watching. A watch
// that breaks or has become too old is listed anew.
type View struct {
	informers map[Source]informers.GenericInformer
	changed   chan struct{}

	mu     sync.Mutex
	denied error
}

// View starts watching and returns when the first listing of every source is
// complete. It follows until ctx ends.
func (c *Client) View(ctx context.Context, sources ...Source) (*View, error) {
	v := &View{informers: map[Source]informers.GenericInformer{}, changed: make(chan struct{}, 1)}
	starting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, source := range sources {
		if err := v.follow(ctx, c, source, cancel); err != nil {
			return nil, err
		}
	}
	for source, informer := range v.informers {
		if !cache.WaitForCacheSync(starting.Done(), informer.Informer().HasSynced) {
			return nil, fmt.Errorf("list %s in namespace %s: %w", source.Resource.Resource, source.Namespace, context.Cause(starting))
		}
	}
	return v, nil
}

func (v *View) follow(ctx context.Context, c *Client, source Source, denied context.CancelCauseFunc) error {
	if _, ok := v.informers[source]; ok {
		return nil
	}
	informer := dynamicinformer.NewFilteredDynamicInformer(c.dynamic, source.Resource, source.Namespace, 0, cache.Indexers{},
		func(o *metav1.ListOptions) { o.FieldSelector = source.Fields })
	shared := informer.Informer()
	err := shared.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		// Anything else is tried again; a missing right would be for ever.
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			v.deny(err)
			denied(err)
		}
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", source.Resource.Resource, err)
	}
	if _, err := shared.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { v.touch() },
		UpdateFunc: func(any, any) { v.touch() },
		DeleteFunc: func(any) { v.touch() },
	}); err != nil {
		return fmt.Errorf("watch %s: %w", source.Resource.Resource, err)
	}
	v.informers[source] = informer
	go shared.Run(ctx.Done())
	return nil
}

func (v *View) touch() {
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

func (v *View) deny(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.denied = err
	v.touch()
}

// Changed receives after something has changed since the last receive.
func (v *View) Changed() <-chan struct{} { return v.changed }

// Err is the answer that ended the watching for good, such as a missing right.
func (v *View) Err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.denied
}

// Get is the object as last seen, nil when there is none. It must not be
// altered.
func (v *View) Get(source Source, name string) *unstructured.Unstructured {
	informer, ok := v.informers[source]
	if !ok {
		return nil
	}
	key := name
	if source.Namespace != "" {
		key = source.Namespace + "/" + name
	}
	found, exists, err := informer.Informer().GetStore().GetByKey(key)
	if err != nil || !exists {
		return nil
	}
	return found.(*unstructured.Unstructured)
}

// List is every object of a source as last seen. They must not be altered.
func (v *View) List(source Source) []*unstructured.Unstructured {
	informer, ok := v.informers[source]
	if !ok {
		return nil
	}
	var objects []*unstructured.Unstructured
	// The lister is over a local store and labels.Everything matches: no error can come.
	found, _ := informer.Lister().List(labels.Everything())
	for _, object := range found {
		objects = append(objects, object.(*unstructured.Unstructured))
	}
	return objects
}
