package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	triggers "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	"github.com/tektoncd/triggers/pkg/template"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// hear selects the Triggers that an EventListener listens to and prepares them.
func (all *objects) hear(el *triggers.EventListener, secrets Secrets) (*heard, error) {
	if err := supported(el.Spec); err != nil {
		return nil, err
	}
	h := &heard{listener: el.Name}
	if el.Spec.LabelSelector == nil {
		return h, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(el.Spec.LabelSelector)
	if err != nil {
		return nil, fmt.Errorf("spec.labelSelector: %w", err)
	}
	var faults []error
	for _, t := range all.triggers {
		if t.Namespace != el.Namespace || !selector.Matches(labels.Set(t.Labels)) {
			continue
		}
		p, err := all.prepare(t, secrets)
		if err != nil {
			faults = append(faults, fmt.Errorf("Trigger %s: %w", t.Name, err))
		}
		h.triggers = append(h.triggers, p)
	}
	return h, errors.Join(faults...)
}

// supported refuses the ways to choose Triggers that ours do not use: a
// listener for several namespaces would be the way from one environment into
// another.
func supported(spec triggers.EventListenerSpec) error {
	for field, used := range map[string]bool{
		"triggers":                     len(spec.Triggers) > 0,
		"triggerGroups":                len(spec.TriggerGroups) > 0,
		"namespaceSelector.matchNames": len(spec.NamespaceSelector.MatchNames) > 0,
		"cloudEventURI":                spec.CloudEventURI != "",
	} {
		if used {
			return fmt.Errorf("spec.%s is not run on this machine: use spec.labelSelector and Triggers", field)
		}
	}
	return nil
}

func (all *objects) prepare(t *triggers.Trigger, secrets Secrets) (prepared, error) {
	p := prepared{Trigger: *t}
	for i, interceptor := range t.Spec.Interceptors {
		if err := known(interceptor, t.Namespace, secrets); err != nil {
			return p, fmt.Errorf("spec.interceptors[%d]: %w", i, err)
		}
	}
	var err error
	p.resolved, err = template.ResolveTrigger(*t, all.binding(t.Namespace), all.clusterBinding, all.template(t.Namespace))
	return p, err
}

// known refuses an interceptor that is a service in a cluster, and one whose
// secret is not there.
func known(i *triggers.TriggerInterceptor, namespace string, secrets Secrets) error {
	if i.Webhook != nil {
		return errors.New("a webhook interceptor is a service in a cluster and is not run on this machine")
	}
	if _, ok := makers[i.Ref.Name]; !ok || i.Ref.Kind != triggers.ClusterInterceptorKind {
		return fmt.Errorf("%s %q is not run on this machine; known are the ClusterInterceptors github, gitlab, bitbucket and cel",
			i.Ref.Kind, i.Ref.Name)
	}
	for _, param := range i.Params {
		if param.Name != secretParam {
			continue
		}
		var ref triggers.SecretRef
		if err := json.Unmarshal(param.Value.Raw, &ref); err != nil {
			return fmt.Errorf("params %s: %w", param.Name, err)
		}
		if _, err := secrets.Get(context.Background(), namespace, &ref); err != nil {
			return err
		}
	}
	return nil
}

var errMissing = errors.New("it is not there")

func (all *objects) binding(namespace string) func(string) (*triggers.TriggerBinding, error) {
	return func(name string) (*triggers.TriggerBinding, error) {
		if b, ok := all.bindings[key{namespace, name}]; ok {
			return b, nil
		}
		return nil, fmt.Errorf("TriggerBinding %s/%s: %w", namespace, name, errMissing)
	}
}

func (all *objects) clusterBinding(name string) (*triggers.ClusterTriggerBinding, error) {
	if b, ok := all.clusterBindings[name]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("ClusterTriggerBinding %s: %w", name, errMissing)
}

func (all *objects) template(namespace string) func(string) (*triggers.TriggerTemplate, error) {
	return func(name string) (*triggers.TriggerTemplate, error) {
		if t, ok := all.templates[key{namespace, name}]; ok {
			return t, nil
		}
		return nil, fmt.Errorf("TriggerTemplate %s/%s: %w", namespace, name, errMissing)
	}
}
