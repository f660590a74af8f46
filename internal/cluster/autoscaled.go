package cluster

import (
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
)

// scaling is what an autoscaler does to a workload's number of replicas.
type scaling int

const (
	unscaled    scaling = iota
	scaled              // between numbers above zero
	scaledToOff         // down to zero as well
)

// autoscalers know whose number of replicas is not the chart's to set.
type autoscalers struct {
	chart map[string]scaling
	// others are the autoscalers that no chart of ours brought. They are asked
	// for only where it matters, since it costs a request.
	others func() map[string]scaling
}

// autoscalersAmong finds the autoscalers of a chart's objects. The others are
// those of the cluster.
func (c *Client) autoscalersAmong(objects []*unstructured.Unstructured) *autoscalers {
	return &autoscalers{chart: scaledBy(objects), others: sync.OnceValue(func() map[string]scaling {
		kind := Kind{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"}
		found, err := c.List(c.alive, kind, c.namespace, "")
		if err != nil {
			return nil // unknown
		}
		var objects []*unstructured.Unstructured
		for i := range found {
			objects = append(objects, &found[i])
		}
		return scaledBy(objects)
	})}
}

// scaledBy says which workloads the objects scale: a HorizontalPodAutoscaler,
// or a custom autoscaler of the same shape.
func scaledBy(objects []*unstructured.Unstructured) map[string]scaling {
	found := map[string]scaling{}
	for _, object := range objects {
		kind, _, _ := unstructured.NestedString(object.Object, "spec", "scaleTargetRef", "kind")
		name, ok, _ := unstructured.NestedString(object.Object, "spec", "scaleTargetRef", "name")
		if !ok {
			continue
		}
		if kind == "" {
			kind = "Deployment"
		}
		how := scaledToOff
		if least, set, _ := unstructured.NestedInt64(object.Object, "spec", "minReplicas"); object.GetKind() == "HorizontalPodAutoscaler" && (!set || least > 0) {
			how = scaled
		}
		found[kind+" "+name] = how
	}
	return found
}

// decide reports whether an autoscaler of the chart sets the number of replicas
// that the live object has. Zero in the chart switches the workload off; zero in
// the cluster was set by hand, unless the autoscaler goes as far.
func (a *autoscalers) decide(info *resource.Info, live *unstructured.Unstructured) bool {
	how := a.chart[nameOf(info)]
	wanted, set := replicasOf(contentOf(info.Object))
	has, _ := replicasOf(live)
	return how != unscaled && (!set || wanted != 0) && (has != 0 || how == scaledToOff)
}

// release reports whether a chart that no longer sets the number of replicas
// leaves it as it is. The built-in kinds would fall to one, while an autoscaler
// needs a minute to raise it again.
func (a *autoscalers) release(info *resource.Info) bool {
	switch info.Mapping.GroupVersionKind.GroupKind() {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}, schema.GroupKind{Group: "apps", Kind: "StatefulSet"},
		schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}, schema.GroupKind{Kind: "ReplicationController"}:
		return true
	}
	if a.chart[nameOf(info)] != unscaled {
		return true
	}
	others := a.others()
	return others == nil || others[nameOf(info)] != unscaled
}

func replicasOf(object *unstructured.Unstructured) (n int64, set bool) {
	if object == nil {
		return 0, false
	}
	n, set, _ = unstructured.NestedInt64(object.Object, "spec", "replicas")
	return n, set
}

// keepReplicas takes a number of replicas that is not the chart's out of the
// comparison.
func (a *autoscalers) keepReplicas(info *resource.Info, old, target, live tree) {
	has, exists, _ := unstructured.NestedFieldNoCopy(live, "spec", "replicas")
	wanted, null, _ := unstructured.NestedFieldNoCopy(target, "spec", "replicas") // null: the key without a number
	_, had, _ := unstructured.NestedFieldNoCopy(old, "spec", "replicas")
	switch {
	case !exists:
	case wanted == nil && (null || had) && a.release(info):
		unstructured.RemoveNestedField(old, "spec", "replicas")
		unstructured.RemoveNestedField(target, "spec", "replicas")
	case wanted != nil && a.decide(info, &unstructured.Unstructured{Object: live}):
		_ = unstructured.SetNestedField(target, has, "spec", "replicas") // cannot fail: its parent was read above
	}
}

// keepStarted leaves a Job alone that the chart suspends and that was started
// since, by hand or by a queue: that is what such a Job is there for. A chart
// that suspends a Job again stops it.
func keepStarted(info *resource.Info, old, target, live tree) {
	suspends := func(object tree) bool {
		suspended, _, _ := unstructured.NestedBool(object, "spec", "suspend")
		return suspended
	}
	job := info.Mapping.GroupVersionKind.GroupKind() == schema.GroupKind{Group: "batch", Kind: "Job"}
	if job && suspends(old) && suspends(target) && !suspends(live) {
		_ = unstructured.SetNestedField(target, false, "spec", "suspend") // cannot fail: its parent was read above
	}
}
