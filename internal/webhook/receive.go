package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"

	"github.com/tektoncd/triggers/pkg/template"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// MaxBody is how large a webhook's body may be: GitHub sends no larger one.
const MaxBody = 25 << 20

// ReadRequest reads a webhook and gives up after MaxBody bytes.
func ReadRequest(w http.ResponseWriter, r *http.Request) (Request, error) {
	if r.ContentLength > MaxBody {
		return Request{}, tooLarge()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return Request{}, tooLarge()
	}
	if err != nil {
		return Request{}, fmt.Errorf("read the webhook: %w", err)
	}
	return Request{Header: r.Header, Body: body, URL: r.URL.RequestURI()}, nil
}

func tooLarge() error {
	return fault.Refused("WebhookTooLarge", fmt.Errorf("read the webhook: it has more than %d bytes", MaxBody), "")
}

// Receive says what a webhook starts, heard by the EventListener of a
// namespace. Nothing is parsed before the interceptors saw it, so that a Trigger
// with a secretRef refuses a forged body unread. An error means that no Trigger
// was asked; what each Trigger made of the webhook is in the result.
func (l *Listener) Receive(ctx context.Context, namespace string, r Request) (Result, error) {
	h, ok := l.hearing[namespace]
	if !ok {
		return Result{}, fault.Usage("NoEventListener", fmt.Errorf("receive the webhook: the namespace %q has no EventListener", namespace), "")
	}
	if err := acceptable(r); err != nil {
		return Result{}, err
	}
	result := Result{EventID: template.UUID()}
	for _, t := range h.triggers {
		resources, skip := l.start(ctx, t, h.listener, result.EventID, r)
		if skip != nil {
			result.Skipped = append(result.Skipped, *skip)
		}
		result.Resources = append(result.Resources, resources...)
	}
	return result, nil
}

// acceptable refuses what Triggers would not read as it was sent: it hands
// bodies on inside JSON, which holds nothing but UTF-8.
func acceptable(r Request) error {
	if len(r.Body) > MaxBody {
		return tooLarge()
	}
	if !utf8.Valid(r.Body) {
		return fault.Refused("WebhookUnreadable", errors.New("read the webhook: its body is not UTF-8"), "")
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		return fault.Refused("WebhookUnreadable", errors.New("read the webhook: its body is a form"),
			"Choose the content type application/json where the webhook is set up.")
	}
	return nil
}

// start asks one Trigger. A payload that no code expected must not stop the
// server or the other Triggers: a panic is a failure of this Trigger.
func (l *Listener) start(ctx context.Context, t prepared, listener, eventID string, r Request) (resources []Resource, skip *Skip) {
	defer func() {
		if p := recover(); p != nil {
			resources, skip = nil, &Skip{t.Name, Failed, fmt.Sprintf("unexpected payload: %v", p)}
		}
	}()
	extensions, skip := l.intercept(ctx, t, eventID, r)
	if skip != nil {
		return nil, skip
	}
	resources, err := fill(t, listener, eventID, r, extensions)
	if err != nil {
		return nil, &Skip{t.Name, Failed, err.Error()}
	}
	return resources, nil
}
