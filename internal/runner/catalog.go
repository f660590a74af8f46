package runner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelinev1alpha1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1alpha1"
	pipelinev1beta1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// documentLimit bounds one file of YAML in bytes: what an API server would take
// is about a tenth of it.
const documentLimit = 16 << 20

// Catalog holds objects by name, as a namespace would.
type Catalog struct {
	tasks       map[string]*pipelinev1.Task
	pipelines   map[string]*pipelinev1.Pipeline
	stepActions map[string]*pipelinev1beta1.StepAction
	configMaps  map[string]*corev1.ConfigMap
	secrets     map[string]*corev1.Secret
}

// NewCatalog returns an empty one.
func NewCatalog() *Catalog {
	return &Catalog{
		tasks: map[string]*pipelinev1.Task{}, pipelines: map[string]*pipelinev1.Pipeline{},
		stepActions: map[string]*pipelinev1beta1.StepAction{},
		configMaps:  map[string]*corev1.ConfigMap{}, secrets: map[string]*corev1.Secret{},
	}
}

// admitted is what Tekton's webhook calls on everything that it admits.
type admitted interface {
	metav1.Object
	runtime.Object
	SetDefaults(context.Context)
	Validate(context.Context) *apis.FieldError
}

// AddFile reads the YAML documents of a file and returns its Tekton objects in
// order. An object of a name that is there already replaces it.
func (c *Catalog) AddFile(path string) ([]metav1.Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Usage("FileNotRead", err, "")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, documentLimit+1))
	if err != nil {
		return nil, fault.Usage("FileNotRead", fmt.Errorf("read %s: %w", path, err), "")
	}
	if len(text) > documentLimit {
		return nil, fault.Usage("FileTooLarge", fmt.Errorf("%s has more than %d bytes", path, documentLimit), "")
	}
	return c.Add(path, text)
}

// Add reads YAML documents as AddFile does; source is their name in errors.
func (c *Catalog) Add(source string, text []byte) ([]metav1.Object, error) {
	var found []metav1.Object
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for number := 1; ; number++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, invalid(source, number, err)
		}
		o, err := c.addDocument(document)
		if err != nil {
			return nil, invalid(source, number, err)
		}
		if o != nil {
			found = append(found, o)
		}
	}
}

func invalid(source string, number int, err error) error {
	return fault.Usage("InvalidDocument", fmt.Errorf("%s, document %d: %w", source, number, err), "Tekton would refuse it as well")
}

// addDocument returns nil for what is no Tekton object.
func (c *Catalog) addDocument(document []byte) (metav1.Object, error) {
	var head metav1.TypeMeta
	if err := yaml.Unmarshal(document, &head); err != nil {
		return nil, err
	}
	switch head.APIVersion + " " + head.Kind {
	case "tekton.dev/v1 Task":
		o := &pipelinev1.Task{}
		return o, admit(document, o, func() { c.tasks[o.Name] = o })
	case "tekton.dev/v1 Pipeline":
		o := &pipelinev1.Pipeline{}
		return o, admit(document, o, func() { c.pipelines[o.Name] = o })
	case "tekton.dev/v1beta1 StepAction":
		o := &pipelinev1beta1.StepAction{}
		return o, admit(document, o, func() { c.stepActions[o.Name] = o })
	case "tekton.dev/v1alpha1 StepAction":
		return c.addOldStepAction(document)
	case "tekton.dev/v1 PipelineRun":
		o := &pipelinev1.PipelineRun{}
		return o, admit(document, o, func() {})
	case "tekton.dev/v1 TaskRun":
		o := &pipelinev1.TaskRun{}
		return o, admit(document, o, func() {})
	case "v1 ConfigMap":
		o := &corev1.ConfigMap{}
		err := yaml.UnmarshalStrict(document, o)
		c.configMaps[o.Name] = o
		return nil, err
	case "v1 Secret":
		o := &corev1.Secret{}
		err := yaml.UnmarshalStrict(document, o)
		c.secrets[o.Name] = o
		return nil, err
	}
	if len(bytes.TrimSpace(stripComments(document))) == 0 || passive[head.Kind] {
		return nil, nil
	}
	return nil, fmt.Errorf("%s %s is nothing that can run here", head.APIVersion, head.Kind)
}

// addOldStepAction takes a StepAction of the version before as the API server
// does: it is admitted as it is and kept as the newer one.
func (c *Catalog) addOldStepAction(document []byte) (metav1.Object, error) {
	old, o := &pipelinev1alpha1.StepAction{}, &pipelinev1beta1.StepAction{}
	if err := admit(document, old, func() {}); err != nil {
		return nil, err
	}
	if err := old.ConvertTo(context.Background(), o); err != nil {
		return nil, err
	}
	c.stepActions[o.Name] = o
	return o, nil
}

// passive are the kinds that often stand beside a run and mean nothing without
// a cluster: a claim is a folder here, and there are no accounts.
var passive = map[string]bool{
	"ServiceAccount": true, "PersistentVolumeClaim": true, "Role": true, "RoleBinding": true, "Namespace": true,
	"LimitRange": true, "SecretProviderClass": true,
	"ClusterRole": true, "ClusterRoleBinding": true, "EventListener": true, "TriggerBinding": true, "TriggerTemplate": true, "Trigger": true,
}

// admit decodes strictly, sets defaults and validates, as the webhook does.
func admit(document []byte, o admitted, keep func()) error {
	if err := yaml.UnmarshalStrict(document, o); err != nil {
		return err
	}
	generated := o.GetName() == "" && o.GetGenerateName() != ""
	if generated {
		o.SetName(o.GetGenerateName() + "x") // the API server makes a name before the webhook sees it
	}
	o.SetDefaults(context.Background())
	// Validation puts defaults into the parameters of a run, where the webhook
	// forgets them and a run must not see them.
	if err := o.DeepCopyObject().(admitted).Validate(context.Background()); err != nil {
		return err
	}
	if generated {
		o.SetName("")
	}
	keep()
	return nil
}

// stripComments takes whole-line comments away, to see whether anything is left.
func stripComments(document []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(document) {
		if trimmed := bytes.TrimSpace(line); !bytes.HasPrefix(trimmed, []byte("#")) && !bytes.Equal(trimmed, []byte("---")) {
			b.Write(line)
		}
	}
	return b.Bytes()
}

// AddFolder reads the .yaml and .yml files that lie directly in dir.
func (c *Catalog) AddFolder(dir string) ([]metav1.Object, error) {
	var found []metav1.Object
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.Usage("FileNotRead", err, "")
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		objects, err := c.AddFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		found = append(found, objects...)
	}
	return found, nil
}
