// Package webhook knows which runs a push starts. It reads the objects of
// Tekton Triggers and answers a webhook as their event listener does, with
// Triggers' own packages for everything that has a meaning: decoding, defaults,
// validation, interceptors, bindings and templates.
//
// It creates nothing: it returns the resources, and the caller runs them. It
// does not listen either: the caller brings the request.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	triggers "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	"github.com/tektoncd/triggers/pkg/template"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Source is a text of YAML documents, as `kubectl apply` takes it. Values of
// the form ${NAME} must have been filled in.
type Source struct {
	Name      string // for messages: a file
	Namespace string // of the objects that name none
	YAML      []byte
}

// Secrets are the values of Secrets by namespace, name and key.
type Secrets map[string]map[string]map[string][]byte

// Get finds one value; it is what Triggers' interceptors call.
func (s Secrets) Get(_ context.Context, namespace string, ref *triggers.SecretRef) ([]byte, error) {
	value, ok := s[namespace][ref.SecretName][ref.SecretKey]
	if !ok {
		return nil, fmt.Errorf("the Secret %s/%s has no key %q", namespace, ref.SecretName, ref.SecretKey)
	}
	return value, nil
}

// Listener answers webhooks for the EventListeners of its sources. It is safe
// for concurrent use.
type Listener struct {
	secrets Secrets
	hearing map[string]*heard // by namespace
}

// heard is what the EventListener of one namespace listens to.
type heard struct {
	listener string
	triggers []prepared
}

// prepared is a Trigger whose references are resolved and whose interceptors
// are known.
type prepared struct {
	triggers.Trigger
	resolved template.ResolvedTrigger
}

// New reads the objects of Triggers among the sources and skips those of other
// API groups. Whatever could never start a run is an error here, before the
// first webhook: an unknown field, a reference to nothing, a secret that is not
// there, an interceptor that needs a cluster. All faults are reported together.
func New(sources []Source, secrets Secrets) (*Listener, error) {
	objects, err := read(sources)
	if err != nil {
		return nil, asked(err)
	}
	l := &Listener{secrets: secrets, hearing: map[string]*heard{}}
	var faults []error
	for _, el := range objects.listeners {
		h, err := objects.hear(el, secrets)
		if err == nil && l.hearing[el.Namespace] != nil {
			err = errors.New("its namespace has another EventListener already")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("EventListener %s/%s: %w", el.Namespace, el.Name, err))
		}
		l.hearing[el.Namespace] = h
	}
	if err := errors.Join(faults...); err != nil {
		return nil, asked(err)
	}
	return l, nil
}

func asked(err error) error {
	return fault.Usage("TriggersInvalid", err, "Correct the Triggers objects; a cluster would refuse or ignore them as well.")
}

// Namespaces lists those that have an EventListener, sorted.
func (l *Listener) Namespaces() []string { return slices.Sorted(maps.Keys(l.hearing)) }

// Request is a webhook as it came in.
type Request struct {
	Header http.Header
	Body   []byte
	URL    string // path and query, which expressions see as requestURL
}

// Result says what became of a webhook.
type Result struct {
	// EventID names the event; Triggers puts it on every resource as a label.
	EventID string `json:"eventID"`
	// Resources are what the webhook starts, in the order of the Triggers.
	Resources []Resource `json:"resources,omitempty"`
	// Skipped are the Triggers that it does not start, with the reason.
	Skipped []Skip `json:"skipped,omitempty"`
}

// Resource is an object to create.
type Resource struct {
	Trigger      string            `json:"trigger"`
	APIVersion   string            `json:"apiVersion"`
	Kind         string            `json:"kind"`
	Namespace    string            `json:"namespace"`
	Name         string            `json:"name,omitempty"` // "" where GenerateName is set
	GenerateName string            `json:"generateName,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Object       json.RawMessage   `json:"object"` // the whole document
}

// Reason says why a Trigger started nothing.
type Reason string

// The reasons.
const (
	Filtered  Reason = "filtered"  // the event is another one, or the filter says no
	Signature Reason = "signature" // the signature or token is missing or wrong
	Failed    Reason = "failed"    // an expression, binding or template failed on this event
)

// Skip is a Trigger that a webhook did not start.
type Skip struct {
	Trigger string `json:"trigger"`
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
}

// Refused is an error where nothing was started and every Trigger refused the
// signature: the sender should be told, which an event listener does not.
func (r Result) Refused() error {
	if len(r.Resources) > 0 || len(r.Skipped) == 0 {
		return nil
	}
	for _, s := range r.Skipped {
		if s.Reason != Signature {
			return nil
		}
	}
	return fault.Refused("WebhookSignatureInvalid", fmt.Errorf("verify the webhook: %s", r.Skipped[0].Message),
		"Give the sender the secret that the Trigger's secretRef names.")
}
