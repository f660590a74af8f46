package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Webhook is where a repository's pushes are sent.
type Webhook struct {
	URL    string `json:"url"`              // http(s)://…, or /hooks/<name>: this server, wherever it listens
	Secret string `json:"secret,omitempty"` // signs what is sent; "": unsigned
}

// SetWebhooks replaces the webhooks of a repository. Their secrets lie in its
// folder, readable by its owner only.
func (r *Repositories) SetWebhooks(name string, hooks ...Webhook) error {
	if err := r.exists(name); err != nil {
		return err
	}
	for _, h := range hooks {
		u, err := url.Parse(h.URL)
		if err != nil || !(u.Scheme == "http" || u.Scheme == "https") && !strings.HasPrefix(h.URL, "/hooks/") {
			return fault.Usage("WebhookInvalid", fmt.Errorf("the webhook of %s goes neither to http(s):// nor to /hooks/", name), "")
		}
	}
	text, err := json.Marshal(hooks)
	if err != nil {
		return err
	}
	return explain(writeWhole(r.root, bare(name)+"/webhooks.json", text), "set the webhooks of "+name)
}

// Webhooks returns those of a repository.
func (r *Repositories) Webhooks(name string) ([]Webhook, error) {
	if err := r.exists(name); err != nil {
		return nil, err
	}
	text, err := r.root.ReadFile(bare(name) + "/webhooks.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var hooks []Webhook
	return hooks, json.Unmarshal(text, &hooks)
}
