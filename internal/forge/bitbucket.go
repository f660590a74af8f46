package forge

import (
	"context"
	"fmt"
	"net/http"
)

// onBitbucket is Bitbucket Cloud, which has no labels.
type onBitbucket struct{ *Repository }

func (h onBitbucket) path(number int) string {
	return fmt.Sprintf("2.0/repositories/%s/pullrequests/%d", h.name, number)
}

func (h onBitbucket) get(ctx context.Context, number int) (Request, error) {
	p, _, err := h.scm.PullRequests.Find(ctx, h.name, number)
	if err != nil {
		return Request{}, err
	}
	r := Request{
		Number: p.Number, URL: p.Link, Title: p.Title, Body: p.Body, Branch: p.Source, Base: p.Target, Head: p.Sha,
		Open: !p.Closed, Merged: p.Merged,
	}
	if r.Merged {
		r.MergedCommit = p.Merge
		return r, nil
	}
	if !r.Open {
		return r, nil
	}
	var checks struct {
		Values []struct {
			Name  string `json:"name"`
			State string `json:"state"`
		} `json:"values"`
	}
	if err := call(ctx, h.scm, http.MethodGet, h.path(number)+"/statuses?pagelen=100", nil, &checks); err != nil {
		return Request{}, err
	}
	r.Ready = true
	for _, c := range checks.Values {
		if c.State != "SUCCESSFUL" {
			r.Ready, r.Why = false, c.Name+": "+c.State
		}
	}
	return r, nil
}

func (h onBitbucket) edit(ctx context.Context, number int, title, body string) error {
	return call(ctx, h.scm, http.MethodPut, h.path(number), map[string]string{"title": title, "description": body}, nil)
}

func (h onBitbucket) label(context.Context, int, []string) error { return nil }

func (h onBitbucket) merge(ctx context.Context, r Request, m Method) error {
	in := map[string]string{"type": "pullrequest"}
	if m != "" {
		in["merge_strategy"] = map[Method]string{MergeCommit: "merge_commit", Squash: "squash", Rebase: "fast_forward"}[m]
	}
	return call(ctx, h.scm, http.MethodPost, h.path(r.Number)+"/merge", in, nil)
}

func (h onBitbucket) close(ctx context.Context, r Request) error {
	return call(ctx, h.scm, http.MethodPost, h.path(r.Number)+"/decline", nil, nil)
}
