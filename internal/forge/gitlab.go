package forge

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

type onGitLab struct{ *Repository }

func (h onGitLab) path(number int) string {
	return fmt.Sprintf("api/v4/projects/%s/merge_requests/%d", url.PathEscape(h.name), number)
}

func (h onGitLab) get(ctx context.Context, number int) (Request, error) {
	var m struct {
		Number       int      `json:"iid"`
		State        string   `json:"state"`
		Title        string   `json:"title"`
		Description  string   `json:"description"`
		URL          string   `json:"web_url"`
		Source       string   `json:"source_branch"`
		Target       string   `json:"target_branch"`
		Sha          string   `json:"sha"`
		MergeCommit  string   `json:"merge_commit_sha"`
		SquashCommit string   `json:"squash_commit_sha"`
		Status       string   `json:"detailed_merge_status"`
		OldStatus    string   `json:"merge_status"`
		Labels       []string `json:"labels"`
		Pipeline     *struct {
			Status string `json:"status"`
		} `json:"head_pipeline"`
	}
	if err := call(ctx, h.scm, http.MethodGet, h.path(number), nil, &m); err != nil {
		return Request{}, err
	}
	r := Request{
		Number: m.Number, URL: m.URL, Title: m.Title, Body: m.Description, Branch: m.Source, Base: m.Target, Head: m.Sha,
		Open: m.State == "opened", Merged: m.State == "merged", Labels: m.Labels,
	}
	if r.Merged { // without a merge commit, the branch was fast-forwarded
		r.MergedCommit = cmp.Or(m.MergeCommit, m.SquashCommit, m.Sha)
	}
	status := cmp.Or(m.Status, m.OldStatus) // before GitLab 15.6
	mergeable := status == "mergeable" || m.Status == "" && status == "can_be_merged"
	green := m.Pipeline == nil || m.Pipeline.Status == "success" || m.Pipeline.Status == "skipped"
	r.Ready = r.Open && mergeable && green
	switch {
	case !r.Open || r.Ready:
	case !mergeable:
		r.Why = status
	default:
		r.Why = "pipeline: " + m.Pipeline.Status
	}
	return r, nil
}

func (h onGitLab) edit(ctx context.Context, number int, title, body string) error {
	return h.put(ctx, number, map[string]any{"title": title, "description": body})
}

// label adds labels; GitLab makes those that the project does not have.
func (h onGitLab) label(ctx context.Context, number int, labels []string) error {
	return h.put(ctx, number, map[string]any{"add_labels": strings.Join(labels, ",")})
}

// merge leaves it to the project whether there is a merge commit; only
// squashing can be asked for.
func (h onGitLab) merge(ctx context.Context, r Request, m Method) error {
	in := map[string]any{"sha": r.Head}
	if m != "" {
		in["squash"] = m == Squash
	}
	return call(ctx, h.scm, http.MethodPut, h.path(r.Number)+"/merge", in, nil)
}

func (h onGitLab) close(ctx context.Context, r Request) error {
	return h.put(ctx, r.Number, map[string]any{"state_event": "close"})
}

func (h onGitLab) put(ctx context.Context, number int, in map[string]any) error {
	return call(ctx, h.scm, http.MethodPut, h.path(number), in, nil)
}
