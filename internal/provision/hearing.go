package provision

import (
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Annotations.
const (
	ownedNote = "lockstep.dev/by"      // of a Trigger that reconcile made; one without it is somebody's own
	hookNote  = "lockstep.dev/webhook" // of the secret: the webhook that has it
	owner     = "reconcile"
)

//go:embed triggers/*.yaml
var triggers embed.FS

// hearing makes the environment hear of pushes: its Trigger and its webhook. A
// repository that is on no forge has neither; it is looked at on schedule alone.
func (e *ensuring) hearing(ctx context.Context) error {
	on, err := forge.On(ctx, e.place.Remote, e.Forge)
	if f := fault.Of(err); err != nil && f.Kind == fault.KindUsage {
		slog.InfoContext(ctx, "no forge, so no webhook", "environment", e.place.Name, "reason", err)
		return nil
	} else if err != nil {
		return err
	}
	if err := e.trigger(ctx, on); err != nil {
		return err
	}
	if e.WebhookURL == "" {
		return nil
	}
	return e.webhook(ctx, on)
}

func (e *ensuring) trigger(ctx context.Context, on *forge.Repository) error {
	there, err := e.read(ctx, kindTrigger, e.place.Name)
	if err != nil || there != nil && there.GetAnnotations()[ownedNote] != owner {
		return err
	}
	text, err := triggers.ReadFile(triggerFile(on.Kind()))
	if err != nil {
		return err
	}
	// The values stand between single quotes in expressions, and between double ones in
	// what is made of them.
	for _, value := range []string{on.Name(), e.place.branch(), e.place.Repository} {
		if strings.ContainsAny(value, `'"\`) {
			return fault.Refused("NameNotTaken", fmt.Errorf("%q has a quote in it, which no filter of webhooks takes", value), "")
		}
	}
	objects, err := filled(text, map[string]string{
		"ENVIRONMENT": e.place.Name, "NAMESPACE": e.place.Namespace, "REPOSITORY": on.Name(), "BRANCH": e.place.branch(),
		"CLONE_URL": e.place.Repository, "ENVIRONMENTS": quoted(e.Environments), "INSECURE_REGISTRIES": quoted(strings.Join(e.Insecure, "\n")),
	})
	if err != nil {
		return err
	}
	for _, o := range objects {
		o.SetAnnotations(map[string]string{ownedNote: owner})
		if err := e.ensure(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// quoted is a value as a Trigger's binding gives it: Tekton puts it between the quotes
// of a text in JSON as it is.
func quoted(value string) string {
	text, _ := json.Marshal(value) // a text has always a form in JSON
	return string(text[1 : len(text)-1])
}

// unquoted is what becomes of the value of a binding; where that is nothing, the value.
func unquoted(value string) string {
	var text string
	if json.Unmarshal([]byte(`"`+value+`"`), &text) != nil {
		return value
	}
	return text
}

// webhook lets the forge tell of pushes. One that is there and does not have our
// secret, which nobody can see, is made anew.
func (e *ensuring) webhook(ctx context.Context, on *forge.Repository) error {
	if e.DryRun {
		return nil // whether there is one is seen only by changing it
	}
	url, err := e.hookURL(ctx, e.place.runs())
	if err != nil {
		return err
	}
	secret, err := e.read(ctx, kindSecret, webhookName)
	if err != nil {
		return err
	}
	if secret == nil {
		return fault.Retryable("SecretMissing", fmt.Errorf("secret %s/%s is gone again", e.place.runs(), webhookName), "")
	}
	encoded, _, _ := unstructured.NestedString(secret.Object, "data", "secret")
	value, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(value) == 0 {
		return fault.Refused("SecretUnreadable", fmt.Errorf("secret %s/%s has no key secret", e.place.runs(), webhookName), "Delete it: it is made anew.")
	}
	known := secret.GetAnnotations()[hookNote] == url
	changed, err := on.EnsureWebhook(ctx, forge.Webhook{URL: url, Secret: string(value), Replace: !known})
	if err != nil {
		return err
	}
	if changed {
		e.note("Webhook", on.Name())
	}
	if known {
		return nil
	}
	note := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret"}}
	note.SetName(webhookName)
	note.SetNamespace(e.place.runs())
	note.SetAnnotations(map[string]string{hookNote: url})
	_, err = e.Client.Ensure(ctx, note, false)
	return err
}

// Bounds of the wait for the listener's Service, which Tekton makes.
const (
	listenerTime  = time.Minute
	listenerPause = 500 * time.Millisecond
)

func (s *Site) hookURL(ctx context.Context, namespace string) (string, error) {
	url := strings.ReplaceAll(s.WebhookURL, "{namespace}", namespace)
	if !strings.Contains(url, "{address}") {
		return url, nil
	}
	ctx, cancel := context.WithTimeout(ctx, listenerTime)
	defer cancel()
	for {
		service, err := s.Client.Get(ctx, kindService, namespace, "el-"+listenerName)
		if err != nil {
			return "", err
		}
		if address := addressOf(service); address != "" {
			return strings.ReplaceAll(url, "{address}", address), nil
		}
		select {
		case <-ctx.Done():
			return "", fault.Retryable("ListenerMissing", fmt.Errorf("service %s/el-%s has no address: %w", namespace, listenerName, ctx.Err()),
				"Tekton Triggers makes it from the EventListener; look at that one's status.")
		case <-time.After(listenerPause):
		}
	}
}

func addressOf(service *unstructured.Unstructured) string {
	if service == nil {
		return ""
	}
	ip, _, _ := unstructured.NestedString(service.Object, "spec", "clusterIP")
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	if ip == "" || ip == "None" || len(ports) == 0 {
		return ""
	}
	first, _ := ports[0].(map[string]any)
	return fmt.Sprintf("%s:%v", ip, first["port"])
}

// unhook takes the webhook of a namespace of runs away, also where the repository is
// gone.
func (s *Site) unhook(ctx context.Context, namespace string, remote *git.Remote) error {
	secret, err := s.Client.Get(ctx, kindSecret, namespace, webhookName)
	if err != nil || secret == nil || remote == nil {
		return err
	}
	url := secret.GetAnnotations()[hookNote]
	if url == "" {
		return nil
	}
	on, err := forge.On(ctx, remote, s.Forge)
	if err == nil {
		err = on.RemoveWebhook(ctx, url)
	}
	if f := fault.Of(err); err != nil && (f.Kind == fault.KindUsage || errors.Is(err, git.ErrNotFound)) {
		return nil
	}
	return err
}
