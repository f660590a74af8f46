package webhook

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tektoncd/triggers/pkg/apis/triggers/contexts"
	triggers "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"
)

const (
	apiGroup   = "triggers.tekton.dev/"
	apiVersion = apiGroup + "v1beta1"
)

// key is an object's namespace and name.
type key struct{ namespace, name string }

func keyOf(o metav1.Object) key { return key{o.GetNamespace(), o.GetName()} }

// objects are those of Triggers among the sources, in their order.
type objects struct {
	listeners       []*triggers.EventListener
	triggers        []*triggers.Trigger
	bindings        map[key]*triggers.TriggerBinding
	clusterBindings map[string]*triggers.ClusterTriggerBinding
	templates       map[key]*triggers.TriggerTemplate
}

// object is what Triggers' admission webhook calls.
type object interface {
	metav1.Object
	SetDefaults(context.Context)
	Validate(context.Context) *apis.FieldError
}

func read(sources []Source) (*objects, error) {
	all := &objects{
		bindings:        map[key]*triggers.TriggerBinding{},
		clusterBindings: map[string]*triggers.ClusterTriggerBinding{},
		templates:       map[key]*triggers.TriggerTemplate{},
	}
	var faults []error
	for _, source := range sources {
		for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(source.YAML))); ; {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = all.add(document, source.Namespace)
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", source.Name, err))
			}
		}
	}
	return all, errors.Join(faults...)
}

// add keeps a document that Triggers reads and skips every other one.
func (all *objects) add(document []byte, namespace string) error {
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(document, &head); err != nil {
		return err
	}
	if !strings.HasPrefix(head.APIVersion, apiGroup) {
		return nil
	}
	o, err := empty(head.APIVersion, head.Kind)
	if err != nil {
		return err
	}
	if err := admit(document, o, namespace); err != nil {
		return fmt.Errorf("%s %s: %w", head.Kind, o.GetName(), err)
	}
	return all.keep(o)
}

func empty(version, kind string) (object, error) {
	if version == apiVersion {
		switch kind {
		case "EventListener":
			return &triggers.EventListener{}, nil
		case "Trigger":
			return &triggers.Trigger{}, nil
		case "TriggerBinding":
			return &triggers.TriggerBinding{}, nil
		case "ClusterTriggerBinding":
			return &triggers.ClusterTriggerBinding{}, nil
		case "TriggerTemplate":
			return &triggers.TriggerTemplate{}, nil
		}
	}
	return nil, fmt.Errorf("%s %s is not run on this machine", version, kind)
}

// admit does what the API server and Triggers' admission webhook do. Their
// code takes some fields for set, such as the items of a list.
func admit(document []byte, o object, namespace string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it cannot be read: %v", p)
		}
	}()
	if err := yaml.UnmarshalStrict(document, o); err != nil {
		return err
	}
	if o.GetNamespace() == "" {
		o.SetNamespace(namespace)
	}
	ctx := contexts.WithUpgradeViaDefaulting(context.Background())
	o.SetDefaults(ctx)
	if err := o.Validate(ctx); err != nil {
		return err
	}
	return nil
}

// keep stores an object; the same one twice is an error, since only one of the
// two could be in a cluster.
func (all *objects) keep(o object) error {
	twice := false
	switch o := o.(type) {
	case *triggers.EventListener:
		all.listeners = append(all.listeners, o)
	case *triggers.Trigger:
		for _, other := range all.triggers {
			twice = twice || keyOf(other) == keyOf(o)
		}
		all.triggers = append(all.triggers, o)
	case *triggers.TriggerBinding:
		_, twice = all.bindings[keyOf(o)]
		all.bindings[keyOf(o)] = o
	case *triggers.ClusterTriggerBinding:
		_, twice = all.clusterBindings[o.Name]
		all.clusterBindings[o.Name] = o
	case *triggers.TriggerTemplate:
		_, twice = all.templates[keyOf(o)]
		all.templates[keyOf(o)] = o
	}
	if twice {
		return fmt.Errorf("%s/%s is there twice", o.GetNamespace(), o.GetName())
	}
	return nil
}
