package runner

import (
	"cmp"
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
	m.add(mount{path: tektonRoot, folder: tekton})
	m.add(mount{path: workspaceRoot, folder: dirs[0]})
	for _, b := range bindings {
		mt := mount{path: filepath.Join(workspaceRoot, b.Name)}
		var err error
		if mt.folder, err = r.workspaceFolder(pod, b); err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(ts.Workspaces, func(w pipelinev1.WorkspaceDeclaration) bool { return w.Name == b.Name }); i >= 0 {
			mt.path, mt.readOnly = ts.Workspaces[i].GetMountPath(), ts.Workspaces[i].ReadOnly
		}
		if mt.readOnly && r.Engine == nil {
			mt.source, mt.folder = mt.folder, filepath.Join(pod, "read-only", filepath.Base(b.Name))
		}
		m.addTo(ts.Steps, b.Name, mt)
	}
	return m, nil
}

// addTo adds the mount of a workspace for the steps that ask for it, and where
// none does for all.
func (m *mounts) addTo(steps []pipelinev1.Step, workspace string, mt mount) {
	isolated := false
	for i, s := range steps {
		for _, u := range s.Workspaces {
			if u.Name != workspace {
				continue
			}
			own := mt
			own.path, own.steps, isolated = cmp.Or(u.MountPath, mt.path), []int{i}, true
			m.add(own)
		}
	}
	if !isolated {
		m.add(mt)
	}
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
		s, own := &ts.Steps[i], m.of(i)
		s.WorkingDir, s.Script = own.translate(s.WorkingDir), own.translate(s.Script)
		translateEach(s.Command, own)
		translateEach(s.Args, own)
		translateEnv(s.Env, own)
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
