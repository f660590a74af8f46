package rollout

import (
	"fmt"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"github.com/lockstep-cd/lockstep/internal/cluster"
)

// settle is how long a refusal to create a pod must last to count: while old
// pods make room, a quota may be exceeded for a moment.
const settle = 2 * time.Second

// cause is why an object will not become healthy by waiting.
type cause struct {
	reason string // class for programs: ImagePullBackOff, CrashLoopBackOff …
	text   string
	hint   string

	namespace, pod, container string // whose log may tell more
	ran, previous             bool   // it ran at all; the run to look at is the one before
}

// cause finds the first cause among what belongs to an object, nil when there
// is none (yet).
func (w *watcher) cause(object cluster.Object, work workload) *cause {
	if work.refused != "" && w.graces.over("refused/"+object.String(), settle) {
		return refusal(work.refused)
	}
	for _, pod := range work.updated {
		if c := w.podCause(pod); c != nil {
			return c
		}
	}
	return nil
}

// refusal names why the API server did not let a pod be created.
func refusal(message string) *cause {
	c := &cause{reason: "PodsNotCreated", text: "pods cannot be created: " + message}
	switch {
	case strings.Contains(message, "exceeded quota"):
		c.reason, c.hint = "QuotaExceeded", "raise the ResourceQuota of the namespace, or ask for less in the chart's values"
	case strings.Contains(message, "violates PodSecurity"), strings.Contains(message, "admission webhook"), strings.Contains(message, "is forbidden"):
		c.reason, c.hint = "AdmissionRefused", "the namespace's policy does not admit this pod: change the chart's securityContext, or the policy"
	}
	return c
}

func (w *watcher) podCause(pod *core.Pod) *cause {
	if ended(pod) {
		return nil // what a Job makes of it, its status says
	}
	if c := w.unschedulable(pod); c != nil {
		return c
	}
	for _, status := range append(append([]core.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...) {
		c := w.waitingCause(pod, status)
		if c == nil {
			c = crashCause(status, w.options.CrashLimit)
		}
		if c != nil {
			c.namespace, c.pod, c.container = pod.Namespace, pod.Name, status.Name
			c.text = fmt.Sprintf("pod %s, container %s: %s", pod.Name, status.Name, c.text)
			return c
		}
	}
	return nil
}

func (w *watcher) unschedulable(pod *core.Pod) *cause {
	for _, condition := range pod.Status.Conditions {
		if condition.Type != core.PodScheduled || condition.Status != core.ConditionFalse || condition.Reason != core.PodReasonUnschedulable {
			continue
		}
		if w.graces.over("unschedulable/"+string(pod.UID), w.options.Grace) {
			return &cause{reason: "Unschedulable", text: fmt.Sprintf("pod %s: no node takes it: %s", pod.Name, condition.Message),
				hint: "ask for less, add nodes, or raise grace if nodes only need longer to come"}
		}
	}
	return nil
}

// waitingCause judges a container that the kubelet cannot start.
func (w *watcher) waitingCause(pod *core.Pod, status core.ContainerStatus) *cause {
	waiting := status.State.Waiting
	if waiting == nil {
		return nil
	}
	c := &cause{reason: waiting.Reason, text: fmt.Sprintf("%s: %s", waiting.Reason, waiting.Message)}
	patience := w.options.Grace
	switch waiting.Reason {
	case "InvalidImageName", "ErrImageNeverPull":
		patience = 0
	case "ErrImagePull", "ImagePullBackOff":
		c.reason = "ImagePullBackOff"
		c.text = fmt.Sprintf("image %s cannot be pulled: %s", status.Image, waiting.Message)
		if !isPassing(waiting.Message) {
			patience = 0
		}
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "ImageInspectError":
	default:
		return nil
	}
	if strings.Contains(strings.ToLower(waiting.Reason), "image") {
		c.hint = "check the image's name and tag, and that the namespace's pull secret may read it"
	}
	if !w.graces.over("waiting/"+string(pod.UID)+"/"+status.Name, patience) {
		return nil
	}
	return c
}

// isPassing recognises an image that may be there although the registry could
// not be reached. The kubelet has no code for it, only these words.
func isPassing(message string) bool {
	message = strings.ToLower(message)
	for _, words := range []string{"timeout", "timed out", "connection refused", "connection reset", "no such host",
		"temporary failure", "toomanyrequests", "too many requests", "503", "502", "500 internal", "unexpected eof", "tls handshake"} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

// crashCause judges a container that ran and ended, again and again.
func crashCause(status core.ContainerStatus, limit int) *cause {
	ended := status.State.Terminated
	previous := false
	if ended == nil {
		ended, previous = status.LastTerminationState.Terminated, true
	}
	if ended == nil || status.Ready || int(status.RestartCount) < limit || ended.ExitCode == 0 && status.State.Waiting == nil {
		return nil
	}
	if status.State.Running != nil { // it may stay up this time
		return nil
	}
	text := fmt.Sprintf("crashed %d times, last with exit code %d", status.RestartCount+1, ended.ExitCode)
	if ended.Reason != "" && ended.Reason != "Error" {
		text += " (" + ended.Reason + ")"
	}
	return &cause{reason: "CrashLoopBackOff", text: text, ran: true, previous: previous,
		hint: "the log says why it ended; raise crash-limit if it only waits for something that starts later"}
}

// givenUp is the cause when a controller has given up, with the container that
// failed last, as far as there is one: a Job's pods are not restarted.
func givenUp(message string, work workload) *cause {
	c := &cause{reason: "RolloutFailed", text: message}
	for _, pod := range work.updated {
		for _, status := range pod.Status.ContainerStatuses {
			if ended := status.State.Terminated; ended != nil && ended.ExitCode != 0 {
				c.namespace, c.pod, c.container, c.ran = pod.Namespace, pod.Name, status.Name, true
				c.text = fmt.Sprintf("%s: pod %s, container %s ended with exit code %d", message, pod.Name, status.Name, ended.ExitCode)
			}
		}
	}
	return c
}

func podFailure(pod *core.Pod, work workload) *cause {
	text := "failed, and no controller replaces it"
	if pod.Status.Reason != "" {
		text = fmt.Sprintf("%s: %s: %s", text, pod.Status.Reason, pod.Status.Message)
	}
	c := givenUp(text, work)
	c.hint = "delete the pod and deploy again; a Deployment or a Job replaces its pods by itself"
	return c
}

// graces remembers since when a state has lasted, by this process's own watch.
// A state that was not seen in a round has ended.
type graces map[string]*grace

type grace struct {
	since time.Time
	seen  bool
}

func (g graces) begin() {
	for _, entry := range g {
		entry.seen = false
	}
}

// over reports whether the state named key has lasted for d.
func (g graces) over(key string, d time.Duration) bool {
	entry, ok := g[key]
	if !ok {
		entry = &grace{since: time.Now()}
		g[key] = entry
	}
	entry.seen = true
	return time.Since(entry.since) >= d
}

func (g graces) end() {
	for key, entry := range g {
		if !entry.seen {
			delete(g, key)
		}
	}
}
