// Package tasks_test checks every YAML that users apply as Tekton's admission
// webhook would: strict decoding, defaults, validation.
package tasks_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelinev1beta1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"
)

// object is what the webhook calls on everything that it admits.
type object interface {
	metav1.Object
	SetDefaults(context.Context)
	Validate(context.Context) *apis.FieldError
}

// kinds that are Tekton Pipelines' own; those of Triggers and Kubernetes are
// checked by the cluster of the end-to-end tests.
var kinds = map[string]func() object{
	"tekton.dev/v1 Task":            func() object { return &pipelinev1.Task{} },
	"tekton.dev/v1 Pipeline":        func() object { return &pipelinev1.Pipeline{} },
	"tekton.dev/v1 TaskRun":         func() object { return &pipelinev1.TaskRun{} },
	"tekton.dev/v1beta1 StepAction": func() object { return &pipelinev1beta1.StepAction{} },
}

func documents(t *testing.T) map[string][][]byte {
	t.Helper()
	found := map[string][][]byte{}
	for _, pattern := range []string{"*/*.yaml", "*/samples/*.yaml", "../pipelines/*/*.yaml", "../steps/*/stepaction.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("nothing in %s: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found[path] = split(t, path, text)
		}
	}
	return found
}

func split(t *testing.T, path string, text []byte) [][]byte {
	t.Helper()
	var all [][]byte
	for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if len(bytes.TrimSpace(document)) > 0 {
			all = append(all, document)
		}
	}
}

// TestScheduledIsRestricted: the CronJobs are what Kubernetes knows, their variables
// are those of their programs, a restricted namespace takes them, and the secrets are
// mounted where the programs look.
func TestScheduledIsRestricted(t *testing.T) {
	for file, program := range map[string]string{"waiting.yaml": "promote", "lockstep.yaml": "reconcile"} {
		text, err := os.ReadFile("../examples/site/" + file)
		if err != nil {
			t.Fatal(err)
		}
		documents := split(t, file, text)
		var job batchv1.CronJob
		if err := yaml.UnmarshalStrict(documents[len(documents)-1], &job); err != nil || job.Kind != "CronJob" {
			t.Fatalf("%s ends with a %s: %v", file, job.Kind, err)
		}
		pod := job.Spec.JobTemplate.Spec.Template
		container := pod.Spec.Containers[0]
		if sc := pod.Spec.SecurityContext; sc == nil || sc.RunAsNonRoot == nil || !*sc.RunAsNonRoot || sc.SeccompProfile == nil || sc.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: the pod runs as %+v", file, sc)
		}
		if sc := container.SecurityContext; sc == nil || sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation || sc.Capabilities == nil || !slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s: the container runs as %+v", file, sc)
		}
		if !slices.Equal(container.Command, []string{"/ko-app/" + program}) || !strings.HasSuffix(container.Image, "/steps/"+program) || job.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent {
			t.Errorf("%s: runs %v of %s, %s", file, container.Command, container.Image, job.Spec.ConcurrencyPolicy)
		}
		action, err := os.ReadFile("../steps/" + program + "/stepaction.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, env := range container.Env {
			if env.Name != "TMPDIR" && !bytes.Contains(action, []byte("name: "+env.Name+",")) {
				t.Errorf("%s: the program does not read %s", file, env.Name)
			}
			if strings.HasPrefix(env.Name, "WORKSPACE_") && !slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == env.Value }) {
				t.Errorf("%s: nothing is mounted at %s for %s", file, env.Value, env.Name)
			}
		}
	}
}

func TestTektonAccepts(t *testing.T) {
	checked := 0
	for path, all := range documents(t) {
		for _, document := range all {
			var head struct{ APIVersion, Kind string }
			if err := yaml.Unmarshal(document, &head); err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			make, ours := kinds[head.APIVersion+" "+head.Kind]
			if !ours {
				if strings.HasPrefix(head.APIVersion, "tekton.dev/") {
					t.Errorf("%s: %s %s is not of the version that we use", path, head.APIVersion, head.Kind)
				}
				continue
			}
			checked++
			o := make()
			if err := yaml.UnmarshalStrict(document, o); err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			// The API server makes a name of generateName before the webhook sees it.
			if o.GetName() == "" {
				o.SetName(o.GetGenerateName() + "x")
			}
			o.SetDefaults(t.Context())
			if err := o.Validate(t.Context()); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d objects were checked", checked)
	}
}

// TestPipelinesFitTheirTasks finds parameters and workspaces that a Pipeline
// gives and the Task does not have, and required ones that it does not give:
// Tekton would tell only when the run starts.
func TestPipelinesFitTheirTasks(t *testing.T) {
	tasks := map[string]pipelinev1.Task{}
	var pipelines []pipelinev1.Pipeline
	for path, all := range documents(t) {
		for _, document := range all {
			var task pipelinev1.Task
			var pipeline pipelinev1.Pipeline
			if yaml.UnmarshalStrict(document, &task) == nil && task.Kind == "Task" {
				tasks[task.Name] = task
			}
			if yaml.UnmarshalStrict(document, &pipeline) == nil && pipeline.Kind == "Pipeline" {
				if want := strings.TrimSuffix(filepath.Base(path), ".yaml"); pipeline.Name != want {
					t.Errorf("%s holds the Pipeline %s", path, pipeline.Name)
				}
				pipelines = append(pipelines, pipeline)
			}
		}
	}
	if len(pipelines) == 0 {
		t.Fatal("no Pipelines")
	}
	for _, p := range pipelines {
		for _, pt := range append(append([]pipelinev1.PipelineTask{}, p.Spec.Tasks...), p.Spec.Finally...) {
			task, ok := tasks[pt.TaskRef.Name]
			if !ok {
				t.Errorf("pipeline %s: there is no Task %s", p.Name, pt.TaskRef.Name)
				continue
			}
			fits(t, p.Name, pt, task)
		}
	}
}

func fits(t *testing.T, pipeline string, pt pipelinev1.PipelineTask, task pipelinev1.Task) {
	t.Helper()
	given := map[string]bool{}
	for _, p := range pt.Params {
		given[p.Name] = true
	}
	for _, p := range task.Spec.Params {
		if p.Default == nil && !given[p.Name] {
			t.Errorf("pipeline %s, task %s: required parameter %s is not given", pipeline, pt.Name, p.Name)
		}
		delete(given, p.Name)
	}
	for name := range given {
		t.Errorf("pipeline %s, task %s: the Task has no parameter %s", pipeline, pt.Name, name)
	}
	bound := map[string]bool{}
	for _, w := range pt.Workspaces {
		bound[w.Name] = true
	}
	for _, w := range task.Spec.Workspaces {
		if !w.Optional && !bound[w.Name] {
			t.Errorf("pipeline %s, task %s: workspace %s is not bound", pipeline, pt.Name, w.Name)
		}
		delete(bound, w.Name)
	}
	for name := range bound {
		t.Errorf("pipeline %s, task %s: the Task has no workspace %s", pipeline, pt.Name, name)
	}
}

// TestStepsAreRestricted: every step of ours passes PodSecurity "restricted"
// and says its command, since Tekton would otherwise ask the registry for it.
func TestStepsAreRestricted(t *testing.T) {
	for path, all := range documents(t) {
		for _, document := range all {
			var task pipelinev1.Task
			if yaml.UnmarshalStrict(document, &task) != nil || task.Kind != "Task" {
				continue
			}
			for _, s := range task.Spec.Steps {
				c := s.SecurityContext
				if c == nil || c.RunAsUser != nil || c.RunAsNonRoot == nil || !*c.RunAsNonRoot || c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation ||
					c.SeccompProfile == nil || c.Capabilities == nil || len(c.Capabilities.Drop) != 1 || c.Capabilities.Drop[0] != "ALL" {
					t.Errorf("%s: step %s: security context %+v", path, s.Name, c)
				}
				if len(s.Command) == 0 || s.Script != "" {
					t.Errorf("%s: step %s: command %v, script %q", path, s.Name, s.Command, s.Script)
				}
				if strings.HasPrefix(s.Image, "ko://") && len(s.ComputeResources.Limits) > 0 {
					t.Errorf("%s: step %s has limits", path, s.Name)
				}
			}
		}
	}
}

// TestCredentialsReachOnlyThoseWhoNeedThem: a step of the user's own image sees
// no workspace but the sources.
func TestCredentialsReachOnlyThoseWhoNeedThem(t *testing.T) {
	for path, all := range documents(t) {
		for _, document := range all {
			var task pipelinev1.Task
			if yaml.UnmarshalStrict(document, &task) != nil || task.Kind != "Task" {
				continue
			}
			for _, s := range task.Spec.Steps {
				if strings.HasPrefix(s.Image, "ko://") {
					continue
				}
				for _, w := range s.Workspaces {
					if w.Name != "source" {
						t.Errorf("%s: step %s sees the workspace %s", path, s.Name, w.Name)
					}
				}
				if len(s.Workspaces) == 0 {
					t.Errorf("%s: step %s names no workspace, so it sees those that nobody isolates", path, s.Name)
				}
			}
		}
	}
}
