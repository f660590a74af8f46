package webhook

import (
	"encoding/json"
	"fmt"
	"maps"

	group "github.com/tektoncd/triggers/pkg/apis/triggers"
	"github.com/tektoncd/triggers/pkg/template"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// fill puts the event's values into the resources of a Trigger's template.
func fill(t prepared, listener, eventID string, r Request, extensions map[string]any) ([]Resource, error) {
	params, err := template.ResolveParams(t.resolved, r.Body, r.Header, extensions, template.NewTriggerContext(eventID))
	if err != nil {
		return nil, err
	}
	var resources []Resource
	for i, document := range template.ResolveResources(t.resolved.TriggerTemplate, params) {
		resource, err := complete(document, t, map[string]string{
			group.GroupName + group.EventListenerLabelKey: listener,
			group.GroupName + group.EventIDLabelKey:       eventID,
			group.GroupName + group.TriggerLabelKey:       t.Name,
		})
		if err != nil {
			return nil, fmt.Errorf("resourcetemplates[%d]: %w", i, err)
		}
		resources = append(resources, resource)
	}
	return resources, nil
}

// complete adds what Triggers adds when it creates a resource: its labels, and
// the Trigger's namespace where the template names none.
func complete(document json.RawMessage, t prepared, labels map[string]string) (Resource, error) {
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(document); err != nil {
		return Resource{}, fmt.Errorf("the values of this event give no object: %w", err)
	}
	all, _, err := unstructured.NestedStringMap(object.Object, "metadata", "labels")
	if err != nil {
		return Resource{}, err
	}
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, labels)
	object.SetLabels(all)
	if object.GetNamespace() == "" {
		object.SetNamespace(t.Namespace)
	}
	if object.GetName() == "" && object.GetGenerateName() == "" {
		return Resource{}, fmt.Errorf("the %s has neither name nor generateName", object.GetKind())
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return Resource{}, err
	}
	return Resource{
		Trigger: t.Name, APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Namespace: object.GetNamespace(),
		Name: object.GetName(), GenerateName: object.GetGenerateName(), Labels: all, Object: text,
	}, nil
}
