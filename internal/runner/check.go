package runner

import (
	"fmt"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
)

// unsupported names the fields of a Task that need a cluster. where is the path
// to the spec.
func unsupported(where string, ts *pipelinev1.TaskSpec) []string {
	var found []string
	add := func(field, why string) { found = append(found, where+"."+field+": "+why) }
	if len(ts.Sidecars) > 0 {
		add("sidecars", "no second container runs beside a step")
	}
	if len(ts.Volumes) > 0 {
		add("volumes", "volumes cannot be mounted; bind a workspace instead")
	}
	if t := ts.StepTemplate; t != nil {
		if len(t.VolumeMounts) > 0 {
			add("stepTemplate.volumeMounts", "volumes cannot be mounted")
		}
		found = append(found, unsupportedEnv(where+".stepTemplate", t.Env)...)
	}
	for i, s := range ts.Steps {
		field := fmt.Sprintf("steps[%d]", i)
		if len(s.VolumeMounts) > 0 {
			add(field+".volumeMounts", "volumes cannot be mounted")
		}
		if len(s.VolumeDevices) > 0 {
			add(field+".volumeDevices", "devices cannot be mounted")
		}
		if s.StdoutConfig != nil {
			add(field+".stdoutConfig", "the output goes to the log only")
		}
		if s.StderrConfig != nil {
			add(field+".stderrConfig", "the output goes to the log only")
		}
		found = append(found, unsupportedEnv(where+"."+field, s.Env)...)
	}
	return found
}

// unsupportedRefs names the StepActions that are not among the files of a run.
func unsupportedRefs(where string, ts *pipelinev1.TaskSpec) []string {
	var found []string
	for i, s := range ts.Steps {
		if s.Ref != nil && s.Ref.Resolver != "" {
			found = append(found, fmt.Sprintf("%s.steps[%d].ref.resolver: remote StepActions are not fetched", where, i))
		}
	}
	return found
}

func unsupportedEnv(where string, env []corev1.EnvVar) []string {
	var found []string
	for _, e := range env {
		if e.ValueFrom == nil {
			continue
		}
		if e.ValueFrom.FieldRef != nil || e.ValueFrom.ResourceFieldRef != nil || e.ValueFrom.FileKeyRef != nil {
			found = append(found, fmt.Sprintf("%s.env[%s].valueFrom: there is no pod to take it from", where, e.Name))
		}
	}
	return found
}

// unsupportedBinding names what a workspace is bound to where that cannot be a
// folder.
func unsupportedBinding(where string, b pipelinev1.WorkspaceBinding) []string {
	switch {
	case b.CSI != nil:
		return []string{where + ".csi: there is no driver for it; bind a folder instead"}
	case b.Projected != nil:
		return []string{where + ".projected: volumes cannot be projected; bind a folder instead"}
	}
	return nil
}

// unsupportedTask names what a task of a Pipeline refers to where that is no
// Task of the catalog.
func unsupportedTask(where string, pt pipelinev1.PipelineTask) []string {
	var found []string
	if pt.PipelineRef != nil || pt.PipelineSpec != nil {
		found = append(found, where+".pipelineRef: Pipelines in Pipelines are not run")
	}
	if pt.TaskRef != nil && pt.TaskRef.Resolver != "" {
		found = append(found, where+".taskRef.resolver: remote Tasks are not fetched")
	}
	if pt.TaskRef.IsCustomTask() || pt.TaskSpec.IsCustomTask() {
		found = append(found, where+".taskRef.apiVersion: custom tasks need their controller")
	}
	return found
}
