package rollout

import (
	"testing"

	core "k8s.io/api/core/v1"
)

func TestSimulatedIsWhatNoRuntimeKnows(t *testing.T) {
	running := core.ContainerState{Running: &core.ContainerStateRunning{}}
	ended := func(code int32) core.ContainerState {
		return core.ContainerState{Terminated: &core.ContainerStateTerminated{ExitCode: code}}
	}
	const id = "containerd://4c6a0f"
	for name, test := range map[string]struct {
		main, first []core.ContainerStatus
		want        bool
	}{
		"runs in a runtime":                    {main: []core.ContainerStatus{{ContainerID: id, State: running}}},
		"says that it runs":                    {main: []core.ContainerStatus{{State: running}}, want: true},
		"one of two says that it runs":         {main: []core.ContainerStatus{{ContainerID: id, State: running}, {State: running}}, want: true},
		"ended in a runtime":                   {main: []core.ContainerStatus{{ContainerID: id, State: ended(0)}}},
		"says that it ended":                   {main: []core.ContainerStatus{{State: ended(0)}}, want: true},
		"the node was lost with the container": {main: []core.ContainerStatus{{State: ended(137)}}},
		"has not started":                      {main: []core.ContainerStatus{{State: core.ContainerState{Waiting: &core.ContainerStateWaiting{}}}}},
		"has no status":                        {},
		"the runtime forgot the init container": {
			first: []core.ContainerStatus{{State: ended(0)}}, main: []core.ContainerStatus{{ContainerID: id, State: running}},
		},
	} {
		pod := &core.Pod{Status: core.PodStatus{ContainerStatuses: test.main, InitContainerStatuses: test.first}}
		if got := simulated(pod); got != test.want {
			t.Errorf("a pod that %s: simulated is %v", name, got)
		}
	}
}
