package rollout

import (
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/cluster"
)

// What a rollout looks at beside the objects themselves.
func pods(namespace string) cluster.Source {
	return cluster.Source{Resource: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, Namespace: namespace}
}

func replicaSets(namespace string) cluster.Source {
	return cluster.Source{Resource: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}, Namespace: namespace}
}

func refusals(namespace string) cluster.Source {
	return cluster.Source{Resource: schema.GroupVersionResource{Version: "v1", Resource: "events"}, Namespace: namespace, Fields: "reason=FailedCreate,type=Warning"}
}

func sourceOf(o cluster.Object) cluster.Source {
	return cluster.Source{Resource: o.Resource, Namespace: o.Namespace}
}

func sources(objects []cluster.Object) []cluster.Source {
	var all []cluster.Source
	for _, o := range objects {
		all = append(all, sourceOf(o))
		if hasPods(o) {
			all = append(all, pods(o.Namespace), replicaSets(o.Namespace), refusals(o.Namespace))
		}
	}
	return all
}

func hasPods(o cluster.Object) bool {
	return o.Resource.Group == "apps" || o.Resource.Group == "batch" || o.Kind == "Pod"
}

// workload is what belongs to one object that makes pods.
type workload struct {
	updated  []*core.Pod // of the newest template
	outdated []*core.Pod // of older templates, neither being deleted nor ended
	// refused is what the API server said when a pod of the newest template
	// was to be created, "" when it accepted it.
	refused string
}

// workload sorts the pods of an object. Before its controller has seen the
// newest template nothing is sorted: which pods are new is not known yet.
func (w *watcher) workload(object cluster.Object, live *unstructured.Unstructured) workload {
	if !hasPods(object) {
		return workload{}
	}
	if object.Kind == "Pod" {
		return workload{updated: []*core.Pod{typedPod(live)}}
	}
	if current, observed := generation(live); observed < current && object.Kind != "Job" {
		return workload{}
	}
	owner, isNew := live.GetUID(), func(*core.Pod) bool { return true }
	refused := w.refusedSince(object.Namespace, owner, changedAt(live))
	var outdated []*core.Pod
	switch object.Kind {
	case "Deployment":
		newest, old := w.replicaSetsOf(object.Namespace, live)
		for _, set := range old {
			outdated = append(outdated, w.podsOf(object.Namespace, set.GetUID())...)
		}
		if newest == nil {
			return workload{outdated: counted(outdated)}
		}
		owner, refused = newest.GetUID(), replicaFailure(newest)
	case "StatefulSet":
		revision, _, _ := unstructured.NestedString(live.Object, "status", "updateRevision")
		isNew = func(p *core.Pod) bool { return p.Labels["controller-revision-hash"] == revision }
	case "DaemonSet":
		template := live.GetAnnotations()["deprecated.daemonset.template.generation"]
		isNew = func(p *core.Pod) bool { return p.Labels["pod-template-generation"] == template }
	}
	work := workload{outdated: outdated, refused: refused}
	for _, pod := range w.podsOf(object.Namespace, owner) {
		if isNew(pod) {
			work.updated = append(work.updated, pod)
		} else {
			work.outdated = append(work.outdated, pod)
		}
	}
	work.outdated = counted(work.outdated)
	if object.Kind == "Job" {
		work.updated = alive(work.updated) // its pods are meant to end
	} else {
		work.updated = counted(work.updated)
	}
	if keepsOldPods(live) {
		work.outdated = nil
	}
	return work
}

// keepsOldPods: a partition or OnDelete leaves old pods on purpose.
func keepsOldPods(live *unstructured.Unstructured) bool {
	kind, _, _ := unstructured.NestedString(live.Object, "spec", "updateStrategy", "type")
	partition, _, _ := unstructured.NestedInt64(live.Object, "spec", "updateStrategy", "rollingUpdate", "partition")
	return kind == "OnDelete" || partition > 0
}

// replicaSetsOf finds the ReplicaSet of a Deployment's newest template by the
// revision that the controller writes on both.
func (w *watcher) replicaSetsOf(namespace string, deployment *unstructured.Unstructured) (newest *unstructured.Unstructured, old []*unstructured.Unstructured) {
	const revision = "deployment.kubernetes.io/revision"
	for _, set := range w.view.List(replicaSets(namespace)) {
		if !ownedBy(set, deployment.GetUID()) {
			continue
		}
		if set.GetAnnotations()[revision] == deployment.GetAnnotations()[revision] {
			newest = set
		} else {
			old = append(old, set)
		}
	}
	return newest, old
}

func (w *watcher) podsOf(namespace string, owner types.UID) []*core.Pod {
	var found []*core.Pod
	for _, object := range w.view.List(pods(namespace)) {
		if ownedBy(object, owner) {
			found = append(found, typedPod(object))
		}
	}
	return found
}

// replicaFailure is why a ReplicaSet cannot create its pods.
func replicaFailure(set *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(set.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		if condition["type"] == "ReplicaFailure" && condition["status"] == "True" {
			message, _ := condition["message"].(string)
			return message
		}
	}
	return ""
}

// refusedSince is the same for the kinds that only write an event. An event of
// before the last change is about an older template.
func (w *watcher) refusedSince(namespace string, owner types.UID, since time.Time) string {
	for _, object := range w.view.List(refusals(namespace)) {
		var event core.Event
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &event); err != nil {
			continue
		}
		last := event.LastTimestamp.Time
		if event.Series != nil {
			last = event.Series.LastObservedTime.Time
		}
		if event.InvolvedObject.UID == owner && !last.Before(since) {
			return event.Message
		}
	}
	return ""
}

// changedAt is when somebody last changed the object itself and not its status,
// by the cluster's clock.
func changedAt(object *unstructured.Unstructured) time.Time {
	at := object.GetCreationTimestamp().Time
	for _, entry := range object.GetManagedFields() {
		if entry.Subresource == "" && entry.Time != nil && entry.Time.After(at) {
			at = entry.Time.Time
		}
	}
	return at
}

func ownedBy(object *unstructured.Unstructured, owner types.UID) bool {
	for _, reference := range object.GetOwnerReferences() {
		if reference.UID == owner {
			return true
		}
	}
	return false
}

// alive leaves out the pods that are being deleted.
func alive(pods []*core.Pod) []*core.Pod {
	var found []*core.Pod
	for _, p := range pods {
		if p.DeletionTimestamp == nil {
			found = append(found, p)
		}
	}
	return found
}

// counted leaves out, beside the pods that are being deleted, those that have
// ended for good: evicted, refused by their node, or finished. Their controllers
// make others for them and may let them lie for weeks.
func counted(pods []*core.Pod) []*core.Pod {
	return slices.DeleteFunc(alive(pods), ended)
}

// ended: no container of the pod will run again.
func ended(pod *core.Pod) bool {
	return pod.Status.Phase == core.PodFailed || pod.Status.Phase == core.PodSucceeded
}

// failedPod is a pod of the chart itself that has failed, nil for all other
// objects. kstatus is content with it, but no controller makes another one.
func failedPod(object cluster.Object, live *unstructured.Unstructured) *core.Pod {
	if object.Kind != "Pod" {
		return nil
	}
	if pod := typedPod(live); pod.Status.Phase == core.PodFailed {
		return pod
	}
	return nil
}

// typedPod never fails on what the API server sent; if it did, a pod without
// a status is the careful answer.
func typedPod(object *unstructured.Unstructured) *core.Pod {
	pod := &core.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, pod); err != nil {
		return &core.Pod{}
	}
	return pod
}
