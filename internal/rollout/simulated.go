package rollout

import (
	"context"
	"fmt"
	"slices"

	core "k8s.io/api/core/v1"

	"github.com/lockstep-cd/lockstep/internal/cluster"
)

// Simulated reports whether pods of the objects only pretend to run, as KWOK's
// do. It asks the pods and not their nodes, which an environment's account may
// not read. Objects that are gone say nothing.
func Simulated(ctx context.Context, c *cluster.Client, objects []cluster.Object) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	objects = slices.DeleteFunc(slices.Clone(objects), func(o cluster.Object) bool { return !hasPods(o) })
	view, err := c.View(ctx, sources(objects)...)
	if err != nil {
		return false, fmt.Errorf("look whether containers were executed: %w", err)
	}
	w := &watcher{client: c, view: view}
	for _, o := range objects {
		live := view.Get(sourceOf(o), o.Name)
		if live != nil && slices.ContainsFunc(w.workload(o, live).updated, simulated) {
			return true, nil
		}
	}
	return false, nil
}

// simulated: a container runs, or ended well, and no runtime knows it. Whatever
// executes a container names it in the status; who only writes the status does
// not. Init containers do not count: the kubelet reports one that the runtime
// has forgotten as ended well, without a name.
func simulated(pod *core.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s core.ContainerStatus) bool {
		t := s.State.Terminated
		ran := s.State.Running != nil || t != nil && t.ExitCode == 0
		return ran && s.ContainerID == ""
	})
}
