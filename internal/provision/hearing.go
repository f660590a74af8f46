package provision

import (
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Annotations of a Trigger.
const (
	ownedNote = "lockstep.dev/by"       // reconcile made it; one without it is somebody's own
	hookNote  = "lockstep.dev/heard-at" // the URL of its webhook, and which version of which secret that has
	owner     = "reconcile"
)

// Triggers, by what they are about and the kind of the forge.
//
//go:embed triggers/*/*.yaml
var triggers embed.FS

// heard is a branch whose pushes start something.
type heard struct {
	of     string // environment or application
	name   string // of that one, and of its Trigger
	remote *git.Remote
	notes  map[string]string // annotations of the Trigger
	values map[string]string // fill the Trigger in, but REPOSITORY
}

// hear makes pushes heard: the Trigger for them, and the webhook. A repository that is
// on no forge is a usage fault.
func (e *ensuring) hear(ctx context.Context, h heard) error {
	on, err := forge.On(ctx, h.remote, e.Forge)
	if err != nil {
		return err
	}
	there, err := e.read(ctx, kindTrigger, h.name)
	if err != nil {
		return err
	}
	if there == nil || there.GetAnnotations()[ownedNote] == owner {
		trigger, err := triggerFor(on, h)
		if err == nil {
			err = e.ensure(ctx, trigger)
		}
		if err != nil {
			return err
		}
	}
	if e.WebhookURL == "" || e.DryRun {
		return nil // in a dry run, whether there is a webhook would be seen only by changing it
	}
	note := ""
	if there != nil {
		note = there.GetAnnotations()[hookNote]
	}
	return e.webhook(ctx, on, h.name, note)
}

func annotate(o *unstructured.Unstructured, key, value string) {
	notes := o.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	notes[key] = value
	o.SetAnnotations(notes)
}

func triggerFor(on *forge.Repository, h heard) (*unstructured.Unstructured, error) {
	kind := on.Kind()
	if kind == forge.Gitea {
		kind = forge.GitHub // it sends GitHub's fields and signature
	}
	text, err := triggers.ReadFile(path.Join("triggers", h.of, string(kind)+".yaml"))
	if err != nil {
		return nil, err
	}
	h.values["REPOSITORY"] = on.Name()
	// These stand between single quotes in expressions, and between double ones in
	// what is made of them.
	for _, key := range []string{"REPOSITORY", "BRANCH", "CLONE_URL"} {
		if value := h.values[key]; strings.ContainsAny(value, `'"\`) {
			return nil, fault.Refused("NameNotTaken", fmt.Errorf("%q has a quote in it, which no filter of webhooks takes", value), "Rename the repository or the branch; or make the Trigger and the webhook by hand.")
		}
	}
	objects, err := filled(text, h.values)
	if err != nil {
		return nil, err
	}
	annotate(objects[0], ownedNote, owner)
	for key, value := range h.notes {
		annotate(objects[0], key, value)
	}
	return objects[0], nil
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

// webhook lets the forge tell of pushes. Nobody can see which secret one has that is
// there: by the Trigger's note it has ours, or it is made anew.
func (e *ensuring) webhook(ctx context.Context, on *forge.Repository, trigger, note string) error {
	url, err := e.hookURL(ctx, e.runs)
	if err != nil {
		return err
	}
	secret, version, err := e.hookSecret(ctx)
	if err != nil {
		return err
	}
	now := url + " " + version
	changed, err := on.EnsureWebhook(ctx, forge.Webhook{URL: url, Secret: secret, Replace: note != now})
	if err != nil {
		return err
	}
	if changed {
		e.note("Webhook", on.Name())
	}
	if note == now {
		return nil
	}
	if before, _, _ := strings.Cut(note, " "); before != "" && before != url {
		if err := on.RemoveWebhook(ctx, before); err != nil {
			return err
		}
	}
	return e.Client.Annotate(ctx, kindTrigger, e.runs, trigger, hookNote, now)
}

// hookSecret is what webhooks of the namespace are signed with, and a text that is
// another one whenever that changes.
func (e *ensuring) hookSecret(ctx context.Context) (value, version string, err error) {
	secret, err := e.read(ctx, kindSecret, webhookName)
	if err != nil {
		return "", "", err
	}
	if secret == nil {
		return "", "", fault.Retryable("SecretMissing", fmt.Errorf("there is no secret %s/%s", e.runs, webhookName), "Its key secret holds the text that webhooks are signed with.")
	}
	encoded, _, _ := unstructured.NestedString(secret.Object, "data", "secret")
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(text) == 0 {
		return "", "", fault.Refused("SecretUnreadable", fmt.Errorf("secret %s/%s has no key secret", e.runs, webhookName), "That key holds the text that webhooks are signed with.")
	}
	return string(text), string(secret.GetUID()) + "/" + secret.GetResourceVersion(), nil
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

// unhook takes the webhook of a Trigger away, also where the repository is gone.
func (s *Site) unhook(ctx context.Context, trigger *unstructured.Unstructured, remote *git.Remote) error {
	if trigger == nil || remote == nil {
		return nil
	}
	url, _, _ := strings.Cut(trigger.GetAnnotations()[hookNote], " ")
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
