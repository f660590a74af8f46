package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

type onGitHub struct{ *Repository }

func (h onGitHub) home() string { return "repos/" + h.name }

func (h onGitHub) path(format string, args ...any) string {
	return h.home() + "/" + fmt.Sprintf(format, args...)
}

func (h onGitHub) get(ctx context.Context, number int) (Request, error) {
	var p struct {
		pull
		MergeableState string `json:"mergeable_state"`
	}
	if err := call(ctx, h.scm, http.MethodGet, h.path("pulls/%d", number), nil, &p); err != nil {
		return Request{}, err
	}
	r := p.request()
	// has_hooks is clean, with hooks of an Enterprise server to come. unstable:
	// a check that is not required has failed or still runs.
	r.Ready = r.Open && (p.MergeableState == "clean" || p.MergeableState == "has_hooks")
	if r.Open && !r.Ready {
		r.Why = p.MergeableState
	}
	return r, nil
}

func (h onGitHub) edit(ctx context.Context, number int, title, body string) error {
	return call(ctx, h.scm, http.MethodPatch, h.path("pulls/%d", number), map[string]string{"title": title, "body": body}, nil)
}

// label adds labels; GitHub makes those that the repository does not have.
func (h onGitHub) label(ctx context.Context, number int, labels []string) error {
	return call(ctx, h.scm, http.MethodPost, h.path("issues/%d/labels", number), map[string][]string{"labels": labels}, nil)
}

func (h onGitHub) merge(ctx context.Context, r Request, m Method) error {
	in := map[string]string{"sha": r.Head}
	if m != "" {
		in["merge_method"] = string(m)
	}
	return call(ctx, h.scm, http.MethodPut, h.path("pulls/%d/merge", r.Number), in, nil)
}

func (h onGitHub) close(ctx context.Context, r Request) error {
	return call(ctx, h.scm, http.MethodPatch, h.path("pulls/%d", r.Number), map[string]string{"state": "closed"}, nil)
}

// pull is a pull request as GitHub and Gitea write it.
type pull struct {
	Number      int    `json:"number"`
	State       string `json:"state"`
	Title       string `json:"title"`
	Body        string `json:"body"`
	URL         string `json:"html_url"`
	Merged      bool   `json:"merged"`
	Mergeable   *bool  `json:"mergeable"` // not yet known: null
	MergeCommit string `json:"merge_commit_sha"`
	Head        struct {
		Ref string `json:"ref"`
		Sha string `json:"sha"`
	} `json:"head"`
	Base struct {
		Ref string `json:"ref"`
	} `json:"base"`
	Labels []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

func (p pull) request() Request {
	r := Request{
		Number: p.Number, URL: p.URL, Title: p.Title, Body: p.Body, Branch: p.Head.Ref, Base: p.Base.Ref, Head: p.Head.Sha,
		Open: p.State == "open", Merged: p.Merged,
	}
	if p.Merged { // before that it is the commit of a trial
		r.MergedCommit = p.MergeCommit
	}
	for _, l := range p.Labels {
		r.Labels = append(r.Labels, l.Name)
	}
	return r
}

// createRepository cannot say what the default branch is: it is the
// organisation's or the user's setting, and with an empty repository the first
// branch that is pushed.
func (h onGitHub) createRepository(ctx context.Context, private bool) error {
	return h.createFor(ctx, "", map[string]any{"name": h.short(), "private": private})
}

func (h onGitHub) hooks(ctx context.Context, page int) ([]hook, bool, error) {
	var list []hubHook
	err := call(ctx, h.scm, http.MethodGet, h.path("hooks?page=%d&per_page=%d", page, pageSize), nil, &list)
	return hubHooks(list, "web"), len(list) == pageSize, err
}

func (h onGitHub) protected(ctx context.Context, branch string) (bool, error) {
	return askProtected(ctx, h.scm, h.path("branches/%s", url.PathEscape(branch)))
}

// protect asks nothing of a push but that it adds commits. Administrators are
// held to that as well.
func (h onGitHub) protect(ctx context.Context, branch string) error {
	in := map[string]any{
		"required_status_checks": nil, "required_pull_request_reviews": nil, "restrictions": nil,
		"enforce_admins": true, "allow_force_pushes": false, "allow_deletions": false,
	}
	return call(ctx, h.scm, http.MethodPut, h.path("branches/%s/protection", url.PathEscape(branch)), in, nil)
}

// hubHook is a webhook as GitHub and Gitea write it.
type hubHook struct {
	ID     int64    `json:"id"`
	Type   string   `json:"type"` // GitHub's are of type Repository, and named web
	Name   string   `json:"name"`
	Events []string `json:"events"`
	Active bool     `json:"active"`
	Config struct {
		URL         string `json:"url"`
		ContentType string `json:"content_type"`
	} `json:"config"`
}

// hubHooks tells which of them send pushes, and nothing else, in JSON. kinds are
// the forge's names for webhooks that send what it has: others send messages to
// chats.
func hubHooks(list []hubHook, kinds ...string) []hook {
	var all []hook
	for _, h := range list {
		sends := h.Config.ContentType == "json" && (slices.Contains(kinds, h.Name) || slices.Contains(kinds, h.Type))
		all = append(all, hook{
			id: strconv.FormatInt(h.ID, 10), url: h.Config.URL,
			right: h.Active && sends && slices.Equal(h.Events, []string{"push"}),
		})
	}
	return all
}
