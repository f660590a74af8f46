// Package rollout waits until what was applied is healthy, by watching, and
// says what is not and why. kstatus judges every object; this package adds the
// causes that kstatus does not see, by looking at the pods of the new template.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Options bound the wait.
type Options struct {
	Timeout time.Duration // for everything together
	// CrashLimit is how often a container of the new template may restart: a
	// service may crash a few times while its database starts.
	CrashLimit int
	// Grace is how long a state may last that often cures itself: a pod that
	// cannot be scheduled while a node is added, a registry out of reach.
	Grace time.Duration
}

// errTimeout is the cause of the context when Options.Timeout has passed.
var errTimeout = errors.New("timed out")

// Wait returns when every object is healthy and only pods of the newest
// templates are left. What cannot become healthy is an unverified fault as soon
// as that is known, with the cause; so is what is not healthy in time.
func Wait(ctx context.Context, c *cluster.Client, objects []cluster.Object, o Options) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, errTimeout)
	defer cancel()
	watched := worthWatching(objects)
	view, err := c.View(ctx, sources(watched)...)
	if err != nil {
		return fmt.Errorf("watch the rollout: %w", err)
	}
	w := &watcher{client: c, view: view, objects: watched, options: o, graces: graces{}, secrets: cluster.SecretValues(objects)}
	// The tick only looks at what is already here: graces end without an event.
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		waiting, err := w.assess(ctx)
		if err != nil || len(waiting) == 0 {
			return err
		}
		w.progress(ctx, waiting)
		select {
		case <-view.Changed():
		case <-tick.C:
		case <-ctx.Done():
			return endOfWait(ctx, waiting, o)
		}
	}
}

func endOfWait(ctx context.Context, waiting []string, o Options) error {
	if cause := context.Cause(ctx); cause != errTimeout {
		return fmt.Errorf("wait for the rollout: %w", cause)
	}
	return fault.Unverified("NotReady", fmt.Errorf("not ready after %s: %s", o.Timeout, strings.Join(waiting, "; ")),
		"`kubectl describe` of the named objects shows their events; raise timeout if they only need longer")
}

// watcher judges the objects by what the view holds.
type watcher struct {
	client  *cluster.Client
	view    *cluster.View
	objects []cluster.Object
	options Options
	graces  graces
	secrets []string

	reported time.Time
	line     string
}

// assess returns what is not ready yet, or the cause why it will not become so.
func (w *watcher) assess(ctx context.Context) (waiting []string, err error) {
	if err := w.view.Err(); err != nil {
		return nil, fmt.Errorf("watch the rollout: %w", err)
	}
	w.graces.begin()
	for _, object := range w.objects {
		state, err := w.judge(ctx, object)
		if err != nil {
			return nil, err
		}
		if state != "" {
			waiting = append(waiting, object.String()+": "+state)
		}
	}
	w.graces.end()
	return waiting, nil
}

// judge returns "" when the object is healthy, else what it waits for.
func (w *watcher) judge(ctx context.Context, object cluster.Object) (string, error) {
	live := w.view.Get(sourceOf(object), object.Name)
	if live == nil && object.MayBeGone() {
		return "", nil
	}
	if live == nil {
		return "not found", nil
	}
	result, err := status.Compute(live)
	if err != nil {
		return "", fmt.Errorf("read the status of %s: %w", object, err)
	}
	work := w.workload(object, live)
	if pod := failedPod(object, live); pod != nil {
		return "", w.fail(ctx, object, podFailure(pod, work))
	}
	if result.Status == status.CurrentStatus || result.Status == status.InProgressStatus && restsOnPurpose(object, live) {
		if n := len(work.outdated); n > 0 {
			return fmt.Sprintf("%d old pods left", n), nil
		}
		return "", nil
	}
	if cause := w.cause(object, work); cause != nil {
		return "", w.fail(ctx, object, cause)
	}
	if result.Status == status.FailedStatus {
		return "", w.fail(ctx, object, givenUp(result.Message, work))
	}
	return result.Message + standstill(live), nil
}

// fail makes the fault of a cause, with the last lines of the container's log.
func (w *watcher) fail(ctx context.Context, object cluster.Object, c *cause) error {
	text := fmt.Sprintf("%s: %s", object, c.text)
	if c.container != "" && c.ran {
		lines, err := w.client.LastLines(ctx, c.namespace, c.pod, c.container, c.previous, 20)
		switch {
		case err != nil:
			slog.WarnContext(ctx, "the container's log cannot be read", "pod", c.pod, "container", c.container, "error", err)
		case strings.TrimSpace(lines) != "":
			text += fmt.Sprintf("\nlast lines of container %s in pod %s:\n%s", c.container, c.pod, strings.TrimRight(lines, "\n"))
		}
	}
	return fault.Unverified(c.reason, cluster.Conceal(errors.New(text), w.secrets), c.hint)
}

// progress logs a line when it says something new, at most one a second.
func (w *watcher) progress(ctx context.Context, waiting []string) {
	line := strings.Join(waiting, "; ")
	if line == w.line || time.Since(w.reported) < time.Second {
		return
	}
	w.line, w.reported = line, time.Now()
	slog.InfoContext(ctx, fmt.Sprintf("%d of %d ready", len(w.objects)-len(waiting), len(w.objects)), "waiting-for", line)
}

// worthWatching leaves out the kinds that are healthy by being there.
func worthWatching(objects []cluster.Object) []cluster.Object {
	var watched []cluster.Object
	for _, o := range objects {
		if hasHealth(o) {
			watched = append(watched, o)
		}
	}
	return watched
}

// hasHealth: workloads, Services (a load balancer's address), CRDs, and custom
// resources, whose conditions kstatus reads. A volume claim shows in its pod.
func hasHealth(o cluster.Object) bool {
	switch group := o.Resource.Group; group {
	case "apps":
		return o.Kind != "ControllerRevision"
	case "batch":
		return o.Kind == "Job"
	case "":
		return o.Kind == "Pod" || o.Kind == "Service" || o.Kind == "ReplicationController"
	case "apiextensions.k8s.io":
		return true
	default:
		return strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io")
	}
}

func generation(object *unstructured.Unstructured) (current, observed int64) {
	observed, _, _ = unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	return object.GetGeneration(), observed
}
