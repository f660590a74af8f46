// Package examples reads Tekton's own example runs, as its module carries them,
// and says which of them a machine without a cluster is asked to run.
package examples

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tektoncd/pipeline/pkg/apis/config"
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelinev1alpha1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1alpha1"
	pipelinev1beta1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"
)

// Example is one file of examples/v1.
type Example struct {
	Name string // its path below examples/v1
	Path string
	// Needs are the fields by which it uses a volume, a sidecar or a remote
	// resolver.
	Needs []string
	// Alpha is why Tekton with its default feature flags does not admit it, and
	// "" where it does.
	Alpha string
	// Special says that Tekton's own tests never run it, because it needs an
	// environment of its own, such as a Windows node: it lies in a folder no-ci.
	Special bool
	// Programs are what its steps start from the search path: their commands, and
	// what their scripts name in their first line or call.
	Programs []string
}

// Eligible says whether the runner is asked to run it.
func (e Example) Eligible() bool { return len(e.Needs) == 0 && e.Alpha == "" && !e.Special }

// Lacks says why it cannot end here as it ends in its images, with the programs
// that searchPath finds, or "".
func (e Example) Lacks(searchPath string) string {
	if why := ownTools[e.Name]; why != "" {
		return why
	}
	if why := busyboxOnly[e.Name]; why != "" && !onPath("busybox", searchPath) {
		return "this machine has no busybox: " + why
	}
	for _, name := range e.Programs {
		if !onPath(name, searchPath) {
			return "this machine has no " + name
		}
	}
	return ""
}

func onPath(name, searchPath string) bool {
	for _, dir := range filepath.SplitList(searchPath) {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// Load reads all examples of the version of tektoncd/pipeline that this module
// requires, by name.
func Load(ctx context.Context) ([]Example, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tektoncd/pipeline").Output()
	if err != nil {
		return nil, fmt.Errorf("find tektoncd/pipeline: %w", err)
	}
	base := filepath.Join(strings.TrimSpace(string(out)), "examples", "v1")
	var all []Example
	err = filepath.WalkDir(base, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		name, err := filepath.Rel(base, path)
		if err != nil {
			return err
		}
		e, err := read(ctx, filepath.ToSlash(name), path)
		all = append(all, e)
		return err
	})
	return all, err
}

func read(ctx context.Context, name, path string) (Example, error) {
	e := Example{Name: name, Path: path, Special: slices.Contains(strings.Split(name, "/"), "no-ci"), Programs: slices.Clone(called[name])}
	text, err := os.ReadFile(path)
	if err != nil {
		return e, err
	}
	objects, err := decode(text)
	if err != nil {
		return e, fmt.Errorf("%s: %w", name, err)
	}
	for _, o := range objects {
		e.Needs = append(e.Needs, clusterFields(o)...)
		e.Programs = append(e.Programs, programs(o)...)
	}
	e.Alpha, err = needsFlag(ctx, text)
	if err != nil && !e.Special {
		return e, fmt.Errorf("%s: %w", name, err)
	}
	return e, nil
}

// admitted is what Tekton's webhook calls.
type admitted interface {
	metav1.Object
	SetDefaults(context.Context)
	Validate(context.Context) *apis.FieldError
}

// decode returns the Tekton objects of a file.
func decode(text []byte) ([]admitted, error) {
	var objects []admitted
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		var head metav1.TypeMeta
		if err := yaml.Unmarshal(document, &head); err != nil {
			return nil, err
		}
		o := empty(head)
		if o == nil {
			continue
		}
		if err := yaml.UnmarshalStrict(document, o); err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
}

func empty(head metav1.TypeMeta) admitted {
	switch head.APIVersion + " " + head.Kind {
	case "tekton.dev/v1 Task":
		return &pipelinev1.Task{}
	case "tekton.dev/v1 TaskRun":
		return &pipelinev1.TaskRun{}
	case "tekton.dev/v1 Pipeline":
		return &pipelinev1.Pipeline{}
	case "tekton.dev/v1 PipelineRun":
		return &pipelinev1.PipelineRun{}
	case "tekton.dev/v1beta1 StepAction":
		return &pipelinev1beta1.StepAction{}
	case "tekton.dev/v1alpha1 StepAction":
		return &pipelinev1alpha1.StepAction{}
	}
	return nil
}

// needsFlag returns what Tekton says against a file with its default flags, if
// it says nothing with every flag on. What it never admits is an error.
func needsFlag(ctx context.Context, text []byte) (string, error) {
	refused := admit(ctx, text)
	if refused == nil {
		return "", nil
	}
	flags, err := config.NewFeatureFlagsFromMap(map[string]string{
		"enable-api-fields": "alpha", "enable-artifacts": "true", "enable-param-enum": "true", "enable-cel-in-whenexpression": "true",
	})
	if err != nil {
		return "", err
	}
	defaults, err := config.NewDefaultsFromMap(nil)
	if err != nil {
		return "", err
	}
	if err := admit(config.ToContext(ctx, &config.Config{FeatureFlags: flags, Defaults: defaults}), text); err != nil {
		return "", err
	}
	return refused.Error(), nil
}

func admit(ctx context.Context, text []byte) error {
	objects, err := decode(text)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.GetName() == "" {
			o.SetName(o.GetGenerateName() + "x") // as the API server does before the webhook
		}
		o.SetDefaults(ctx)
		if err := o.Validate(ctx); err != nil {
			return err
		}
	}
	return nil
}
