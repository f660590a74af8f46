package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// onBitbucketServer is Bitbucket Server and Data Center, which have no labels.
// Who changes a request names its version, a number that every change raises.
type onBitbucketServer struct{ *Repository }

func (h onBitbucketServer) home() string { return "rest/api/1.0/" + h.below() }

// below is the repository's path in each of the server's interfaces.
func (h onBitbucketServer) below() string {
	project, name, _ := strings.Cut(h.name, "/")
	return fmt.Sprintf("projects/%s/repos/%s", project, name)
}

func (h onBitbucketServer) path(number int) string {
	return fmt.Sprintf("%s/pull-requests/%d", h.home(), number)
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

// createRepository needs the project, other than that of a person, to be there.
// Older servers heed only the name.
func (h onBitbucketServer) createRepository(ctx context.Context, private bool) error {
	project, name, _ := strings.Cut(h.name, "/")
	in := map[string]any{"name": name, "scmId": "git", "public": !private, "defaultBranch": firstBranch}
	return call(ctx, h.scm, http.MethodPost, "rest/api/1.0/projects/"+project+"/repos", in, nil)
}

func (h onBitbucketServer) hooks(ctx context.Context, page int) ([]hook, bool, error) {
	return h.listHooks(ctx, page, "repo:refs_changed")
}

func (h onBitbucketServer) protected(ctx context.Context, branch string) (bool, error) {
	missing, err := h.unrestricted(ctx, branch)
	return err == nil && len(missing) == 0, err
}

func (h onBitbucketServer) protect(ctx context.Context, branch string) error {
	missing, err := h.unrestricted(ctx, branch)
	if err != nil {
		return err
	}
	for _, kind := range missing {
		in := map[string]any{"type": kind, "users": []string{}, "groups": []string{}, "matcher": map[string]any{
			"id": "refs/heads/" + branch, "displayId": branch, "active": true, "type": map[string]string{"id": "BRANCH", "name": "Branch"},
		}}
		if err := call(ctx, h.scm, http.MethodPost, h.restrictions(), in, nil); err != nil {
			return err
		}
	}
	return nil
}

func (h onBitbucketServer) restrictions() string {
	return "rest/branch-permissions/2.0/" + h.below() + "/restrictions"
}

// unrestricted are the kinds of restriction that the branch does not have.
func (h onBitbucketServer) unrestricted(ctx context.Context, branch string) ([]string, error) {
	var got struct {
		Values []struct {
			Type string `json:"type"`
		} `json:"values"`
	}
	query := "?limit=100&matcherType=BRANCH&matcherId=" + url.QueryEscape("refs/heads/"+branch)
	err := call(ctx, h.scm, http.MethodGet, h.restrictions()+query, nil, &got)
	var have []string
	for _, v := range got.Values {
		have = append(have, v.Type)
	}
	return without([]string{"fast-forward-only", "no-deletes"}, have), err
}
