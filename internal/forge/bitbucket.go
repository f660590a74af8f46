package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// onBitbucket is Bitbucket Cloud, which has no labels.
type onBitbucket struct{ *Repository }

func (h onBitbucket) home() string { return "2.0/repositories/" + h.name }

func (h onBitbucket) path(number int) string {
	return fmt.Sprintf("%s/pullrequests/%d", h.home(), number)
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

// createRepository leaves the project to Bitbucket, which takes the workspace's
// oldest, and the default branch to the first push.
func (h onBitbucket) createRepository(ctx context.Context, private bool) error {
	return call(ctx, h.scm, http.MethodPost, h.home(), map[string]any{"scm": "git", "is_private": private}, nil)
}

func (h onBitbucket) hooks(ctx context.Context, page int) ([]hook, bool, error) {
	return h.listHooks(ctx, page, "repo:push")
}

// createHook does it without go-scm, which writes the secret into the URL.
func (h onBitbucket) createHook(ctx context.Context, w Webhook) error {
	in := map[string]any{"description": hookName, "url": w.URL, "secret": w.Secret, "active": true, "events": []string{"repo:push"}}
	return call(ctx, h.scm, http.MethodPost, h.home()+"/hooks", in, nil)
}

func (h onBitbucket) protected(ctx context.Context, branch string) (bool, error) {
	missing, err := h.unrestricted(ctx, branch)
	return err == nil && len(missing) == 0, err
}

func (h onBitbucket) protect(ctx context.Context, branch string) error {
	missing, err := h.unrestricted(ctx, branch)
	if err != nil {
		return err
	}
	for _, kind := range missing {
		in := map[string]string{"kind": kind, "branch_match_kind": "glob", "pattern": branch}
		if err := call(ctx, h.scm, http.MethodPost, h.home()+"/branch-restrictions", in, nil); err != nil {
			return err
		}
	}
	return nil
}

// unrestricted are the kinds of restriction that the branch does not have. Those
// of patterns with more branches do not count; one more does no harm.
func (h onBitbucket) unrestricted(ctx context.Context, branch string) ([]string, error) {
	var got struct {
		Values []struct {
			Kind    string `json:"kind"`
			Match   string `json:"branch_match_kind"`
			Pattern string `json:"pattern"`
		} `json:"values"`
	}
	err := call(ctx, h.scm, http.MethodGet, h.home()+"/branch-restrictions?pagelen=100&pattern="+url.QueryEscape(branch), nil, &got)
	var have []string
	for _, v := range got.Values {
		if v.Match == "glob" && v.Pattern == branch {
			have = append(have, v.Kind)
		}
	}
	return without([]string{"force", "delete"}, have), err
}
