package runner

import (
	"context"
	"path/filepath"
	"slices"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	podconvert "github.com/tektoncd/pipeline/pkg/pod"
	"github.com/tektoncd/pipeline/pkg/reconciler/taskrun/resources"
	"github.com/tektoncd/pipeline/pkg/workspace"
	corev1 "k8s.io/api/core/v1"
)

// Where Tekton puts its own folders in a container.
const (
	tektonRoot      = "/tekton"
	credentialsPath = "/tekton/creds"
	workspaceRoot   = "/workspace"
)

// folders lays out a pod's folder and says what it would mount.
func (r *Runner) folders(pod string, ts *pipelinev1.TaskSpec, bindings []pipelinev1.WorkspaceBinding) (mounts, error) {
	tekton := filepath.Join(pod, "tekton")
	dirs := []string{filepath.Join(pod, "workspace")}
	for _, name := range []string{"results", "steps", "artifacts", "creds", "home", "scripts", "run"} {
		dirs = append(dirs, filepath.Join(tekton, name))
	}
	if err := makeFolders(dirs...); err != nil {
		return nil, err
	}
	var m mounts
	m.add(tektonRoot, tekton, false)
	m.add(workspaceRoot, dirs[0], false)
	for _, b := range bindings {
		folder, err := r.workspaceFolder(pod, b)
		if err != nil {
			return nil, err
		}
		path, readOnly := filepath.Join(workspaceRoot, b.Name), false
		if i := slices.IndexFunc(ts.Workspaces, func(w pipelinev1.WorkspaceDeclaration) bool { return w.Name == b.Name }); i >= 0 {
			path, readOnly = ts.Workspaces[i].GetMountPath(), ts.Workspaces[i].ReadOnly
		}
		m.add(path, folder, readOnly)
		for _, s := range ts.Steps {
			for _, u := range s.Workspaces {
				if u.Name == b.Name && u.MountPath != "" {
					m.add(u.MountPath, folder, readOnly)
				}
			}
		}
	}
	return m, nil
}

// declared is the spec with a declaration for each bound workspace: Tekton lets
// an embedded Task leave them out.
func declared(ts *pipelinev1.TaskSpec, bindings []pipelinev1.WorkspaceBinding) *pipelinev1.TaskSpec {
	ts = ts.DeepCopy()
	for _, b := range bindings {
		if !slices.ContainsFunc(ts.Workspaces, func(w pipelinev1.WorkspaceDeclaration) bool { return w.Name == b.Name }) {
			ts.Workspaces = append(ts.Workspaces, pipelinev1.WorkspaceDeclaration{Name: b.Name})
		}
	}
	return ts
}

// inContainerSpec fills in everything as Tekton does before it makes a pod.
func inContainerSpec(ctx context.Context, name string, ts *pipelinev1.TaskSpec, tr *pipelinev1.TaskRun) *pipelinev1.TaskSpec {
	volumes := workspace.CreateVolumes(tr.Spec.Workspaces)
	ts = applyParams(ts, tr)
	ts = resources.ApplyContexts(ts, name, tr)
	ts = applyPaths(ts)
	return resources.ApplyWorkspaces(ctx, ts, ts.Workspaces, tr.Spec.Workspaces, volumes)
}

func applyPaths(ts *pipelinev1.TaskSpec) *pipelinev1.TaskSpec {
	ts = resources.ApplyResults(ts)
	ts = resources.ApplyArtifacts(ts)
	ts = resources.ApplyStepExitCodePath(ts)
	return resources.ApplyCredentialsPath(ts, credentialsPath)
}

// onHostSpec is the same for steps that run outside a container: the paths that
// the author wrote, or that Tekton's variables stand for, lead into the folders
// of this machine. Values of parameters are put in last and never changed.
func onHostSpec(ctx context.Context, name string, ts *pipelinev1.TaskSpec, tr *pipelinev1.TaskRun, m mounts) *pipelinev1.TaskSpec {
	ts = translateSpec(applyPaths(ts.DeepCopy()), m)
	for i, w := range ts.Workspaces {
		ts.Workspaces[i].MountPath, _ = m.folder(w.GetMountPath())
	}
	for i := range ts.Steps {
		for j, u := range ts.Steps[i].Workspaces {
			if u.MountPath != "" {
				ts.Steps[i].Workspaces[j].MountPath, _ = m.folder(u.MountPath)
			}
		}
	}
	ts = applyParams(ts, tr)
	ts = resources.ApplyContexts(ts, name, tr)
	return resources.ApplyWorkspaces(ctx, ts, ts.Workspaces, tr.Spec.Workspaces, workspace.CreateVolumes(tr.Spec.Workspaces))
}

func translateSpec(ts *pipelinev1.TaskSpec, m mounts) *pipelinev1.TaskSpec {
	if t := ts.StepTemplate; t != nil {
		t.WorkingDir = m.translate(t.WorkingDir)
		translateEach(t.Command, m)
		translateEach(t.Args, m)
		translateEnv(t.Env, m)
	}
	for i := range ts.Steps {
		s := &ts.Steps[i]
		s.WorkingDir, s.Script = m.translate(s.WorkingDir), m.translate(s.Script)
		translateEach(s.Command, m)
		translateEach(s.Args, m)
		translateEnv(s.Env, m)
	}
	for i := range ts.Params {
		if d := ts.Params[i].Default; d != nil {
			d.StringVal = m.translate(d.StringVal)
			translateEach(d.ArrayVal, m)
		}
	}
	return ts
}

func translateEach(words []string, m mounts) {
	for i := range words {
		words[i] = m.translate(words[i])
	}
}

func translateEnv(env []corev1.EnvVar, m mounts) {
	for i := range env {
		env[i].Value = m.translate(env[i].Value)
	}
}

// merged are the steps of a spec with its template put in and names given.
func merged(ts *pipelinev1.TaskSpec) ([]pipelinev1.Step, error) {
	steps, err := pipelinev1.MergeStepsWithStepTemplate(ts.StepTemplate, slices.Clone(ts.Steps))
	if err != nil {
		return nil, err
	}
	for i := range steps {
		steps[i].Name = podconvert.StepName(steps[i].Name, i)
	}
	return steps, nil
}
