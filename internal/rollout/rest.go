package rollout

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/cluster"
)

// queueLabel marks a Job that Kueue suspends until its turn has come.
const queueLabel = "kueue.x-k8s.io/queue-name"

// restsOnPurpose reports whether an object that kstatus calls in progress is as
// Git wants it, so that waiting would change nothing: a Job that the chart, or
// its queue, suspends, or a paused Deployment without a change to roll out.
func restsOnPurpose(object cluster.Object, live *unstructured.Unstructured) bool {
	switch object.Kind {
	case "Job":
		wanted := flag(object.Content, "suspend") || live.GetLabels()[queueLabel] != ""
		return wanted && flag(live, "suspend")
	case "Deployment":
		return flag(object.Content, "paused") && flag(live, "paused") && complete(live)
	}
	return false
}

// complete reports whether all pods of a Deployment are of its template and
// available. A paused one never gets the condition that kstatus looks for.
func complete(deployment *unstructured.Unstructured) bool {
	current, observed := generation(deployment)
	wanted, set, _ := unstructured.NestedInt64(deployment.Object, "spec", "replicas")
	if !set {
		wanted = 1
	}
	for _, count := range []string{"replicas", "updatedReplicas", "availableReplicas", "readyReplicas"} {
		if n, _, _ := unstructured.NestedInt64(deployment.Object, "status", count); n != wanted {
			return false
		}
	}
	return observed >= current
}

// standstill tells, behind what an object waits for, that it waits in vain.
func standstill(live *unstructured.Unstructured) string {
	switch {
	case live.GetKind() == "Deployment" && flag(live, "paused"):
		return " (the Deployment is paused: a new template is not rolled out)"
	case live.GetKind() == "Job" && flag(live, "suspend"):
		return " (the Job is suspended)"
	}
	return ""
}

func flag(object *unstructured.Unstructured, name string) bool {
	set, _, _ := unstructured.NestedBool(object.Object, "spec", name)
	return set
}
