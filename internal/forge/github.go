package forge

import (
	"context"
	"fmt"
	"net/http"
)

type onGitHub struct{ *Repository }

func (h onGitHub) path(format string, args ...any) string {
	return fmt.Sprintf("repos/%s/", h.name) + fmt.Sprintf(format, args...)
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
