package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/drone/go-scm/scm"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/redact"
)

// Webhook is what shall hear of a repository's pushes.
type Webhook struct {
	URL string // with https:// or http://
	// Secret is what the forge signs with; GitLab sends it as it is. It goes to
	// the forge alone.
	Secret string
	// Replace puts the webhook in the place of one that would do, whose secret
	// cannot be read and may be another.
	Replace bool
}

// hookName is what people see, where webhooks have names.
const hookName = "lockstep"

// hook is a webhook that is there.
type hook struct {
	id, url string
	right   bool // it is active and sends pushes, in JSON, and nothing else
}

// EnsureWebhook gives the repository exactly one webhook of this URL, for pushes.
// changed is false where one is there that will do; others of the same URL are
// replaced by it. Webhooks of other URLs are left alone. Between removing one and
// creating the next, a push is not heard: GitHub takes no two of one URL.
func (r *Repository) EnsureWebhook(ctx context.Context, w Webhook) (changed bool, err error) {
	if err := w.check(); err != nil {
		return false, err
	}
	ctx = hide(ctx, w.Secret)
	what := "create the webhook " + redact.Text(w.URL, w.Secret) + " of " + r.link
	of, err := r.hooksOf(ctx, w.URL)
	if err != nil {
		return false, r.explainRight("list the webhooks of "+r.link, err)
	}
	kept := false
	for _, h := range of {
		if h.right && !kept && !w.Replace {
			kept = true
			continue
		}
		changed = true
		if err := r.deleteHook(ctx, h); err != nil {
			return true, r.explainRight(what, err)
		}
	}
	if kept {
		return changed, nil
	}
	if err := r.host.createHook(ctx, w); err != nil && (w.Replace || !r.heard(ctx, w.URL)) {
		return changed, r.explainRight(what, err)
	}
	return true, nil
}

// RemoveWebhook removes every webhook of this URL; nil when there is none, or no
// repository.
func (r *Repository) RemoveWebhook(ctx context.Context, address string) error {
	of, err := r.hooksOf(ctx, address)
	if err != nil {
		if there, again := r.exists(ctx); again == nil && !there {
			return nil
		}
	}
	for _, h := range of {
		if err == nil {
			err = r.deleteHook(ctx, h)
		}
	}
	if err != nil {
		return r.explainRight("remove the webhook "+redact.Text(address)+" of "+r.link, err)
	}
	return nil
}

func (w Webhook) check() error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fault.Usage("InvalidWebhook", errors.New("the webhook's URL names no web server"), "Example: https://hooks.example.com")
	case w.Secret == "":
		return fault.Usage("InvalidWebhook", errors.New("the webhook has no secret"), "Without one, everybody could say that there was a push.")
	}
	return nil
}

// heard reports whether somebody else has created the webhook at the same time,
// or we have and the answer was lost.
func (r *Repository) heard(ctx context.Context, address string) bool {
	of, err := r.hooksOf(ctx, address)
	return err == nil && len(of) > 0 && of[0].right
}

// hooksOf are the webhooks of a URL.
func (r *Repository) hooksOf(ctx context.Context, address string) ([]hook, error) {
	var of []hook
	for page := 1; page <= mostPages; page++ {
		list, more, err := r.host.hooks(ctx, page)
		if err != nil {
			return nil, err
		}
		for _, h := range list {
			if h.url == address {
				of = append(of, h)
			}
		}
		if !more {
			return of, nil
		}
	}
	return nil, fault.Refused("ForgeRefused", fmt.Errorf("list the webhooks of %s: there are more than %d", r.link, mostPages*pageSize), "Remove those that nobody needs.")
}

// listHooks reads them as go-scm does, which is right for both Bitbuckets.
func (r *Repository) listHooks(ctx context.Context, page int, event string) ([]hook, bool, error) {
	list, res, err := r.scm.Repositories.ListHooks(ctx, r.name, scm.ListOptions{Page: page, Size: pageSize})
	if err != nil {
		return nil, false, err
	}
	var all []hook
	for _, h := range list {
		all = append(all, hook{id: h.ID, url: h.Target, right: h.Active && len(h.Events) == 1 && h.Events[0] == event})
	}
	return all, res.Page.Next != 0, nil
}

// createHook does it as go-scm does, which is right for GitHub and Bitbucket
// Server.
func (r *Repository) createHook(ctx context.Context, w Webhook) error {
	_, _, err := r.scm.Repositories.CreateHook(ctx, r.name, &scm.HookInput{
		Name: hookName, Target: w.URL, Secret: w.Secret, Events: scm.HookEvents{Push: true},
	})
	return err
}

// deleteHook deletes a webhook; one that is gone already is no error.
func (r *Repository) deleteHook(ctx context.Context, h hook) error {
	_, err := r.scm.Repositories.DeleteHook(ctx, r.name, h.id)
	_, err = found(err)
	return err
}

type hiddenKey struct{}

// hide keeps a secret that is sent to a forge out of what the forge says about it.
// It may say it in JSON, in which Bitbucket escapes slashes, too.
func hide(ctx context.Context, secret string) context.Context {
	text, _ := json.Marshal(secret) // a string has always a form in JSON
	quoted := string(text[1 : len(text)-1])
	return context.WithValue(ctx, hiddenKey{}, []string{secret, quoted, strings.ReplaceAll(quoted, "/", `\/`)})
}

func hidden(ctx context.Context) []string {
	forms, _ := ctx.Value(hiddenKey{}).([]string)
	return forms
}
