package forge

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// onBitbucketServer is Bitbucket Server and Data Center, which have no labels.
// Who changes a request names its version, a number that every change raises.
type onBitbucketServer struct{ *Repository }

func (h onBitbucketServer) path(number int) string {
	project, name, _ := strings.Cut(h.name, "/")
	return fmt.Sprintf("rest/api/1.0/projects/%s/repos/%s/pull-requests/%d", project, name, number)
}

func (h onBitbucketServer) get(ctx context.Context, number int) (Request, error) {
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
	}
	if !r.Open {
		return r, nil
	}
	var test struct {
		CanMerge   bool `json:"canMerge"`
		Conflicted bool `json:"conflicted"`
		Vetoes     []struct {
			Summary string `json:"summaryMessage"`
		} `json:"vetoes"`
	}
	if err := call(ctx, h.scm, http.MethodGet, h.path(number)+"/merge", nil, &test); err != nil {
		return Request{}, err
	}
	r.Ready = test.CanMerge
	switch {
	case test.Conflicted:
		r.Why = "conflicts"
	case len(test.Vetoes) > 0:
		r.Why = test.Vetoes[0].Summary
	}
	return r, nil
}

func (h onBitbucketServer) version(ctx context.Context, number int) (int, error) {
	var p struct {
		Version int `json:"version"`
	}
	err := call(ctx, h.scm, http.MethodGet, h.path(number), nil, &p)
	return p.Version, err
}

func (h onBitbucketServer) edit(ctx context.Context, number int, title, body string) error {
	version, err := h.version(ctx, number)
	if err != nil {
		return err
	}
	in := map[string]any{"version": version, "title": title, "description": body}
	return call(ctx, h.scm, http.MethodPut, h.path(number), in, nil)
}

func (h onBitbucketServer) label(context.Context, int, []string) error { return nil }

func (h onBitbucketServer) merge(ctx context.Context, r Request, m Method) error {
	version, err := h.version(ctx, r.Number)
	if err != nil {
		return err
	}
	in := map[string]any{}
	if m != "" {
		in["strategyId"] = map[Method]string{MergeCommit: "no-ff", Squash: "squash", Rebase: "rebase-ff-only"}[m]
	}
	return call(ctx, h.scm, http.MethodPost, fmt.Sprintf("%s/merge?version=%d", h.path(r.Number), version), in, nil)
}

func (h onBitbucketServer) close(ctx context.Context, r Request) error {
	version, err := h.version(ctx, r.Number)
	if err != nil {
		return err
	}
	return call(ctx, h.scm, http.MethodPost, fmt.Sprintf("%s/decline?version=%d", h.path(r.Number), version), nil, nil)
}
