package forge

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
)

type onGitea struct{ *Repository }

func (h onGitea) path(format string, args ...any) string {
	return fmt.Sprintf("api/v1/repos/%s/", h.name) + fmt.Sprintf(format, args...)
}

func (h onGitea) get(ctx context.Context, number int) (Request, error) {
	var p pull
	if err := call(ctx, h.scm, http.MethodGet, h.path("pulls/%d", number), nil, &p); err != nil {
		return Request{}, err
	}
	r := p.request()
	if !r.Open {
		return r, nil
	}
	if p.Mergeable == nil || !*p.Mergeable {
		r.Why = "conflicts, or still to be looked at"
		return r, nil
	}
	var checks struct {
		State string `json:"state"`
		Count int    `json:"total_count"`
	}
	if err := call(ctx, h.scm, http.MethodGet, h.path("commits/%s/status", r.Head), nil, &checks); err != nil {
		return Request{}, err
	}
	r.Ready = checks.Count == 0 || checks.State == "success"
	if !r.Ready {
		r.Why = "checks: " + checks.State
	}
	return r, nil
}

func (h onGitea) edit(ctx context.Context, number int, title, body string) error {
	return call(ctx, h.scm, http.MethodPatch, h.path("pulls/%d", number), map[string]string{"title": title, "body": body}, nil)
}

// label adds labels by their numbers. Those that the repository does not have
// are made; of two programs that make one at the same time, both labels stay
// and either will do.
func (h onGitea) label(ctx context.Context, number int, labels []string) error {
	known, err := h.labels(ctx)
	if err != nil {
		return err
	}
	var ids []int64
	for _, name := range labels {
		id, ok := known[strings.ToLower(name)]
		if !ok {
			if id, err = h.createLabel(ctx, name); err != nil {
				return err
			}
		}
		ids = append(ids, id)
	}
	return call(ctx, h.scm, http.MethodPost, h.path("issues/%d/labels", number), map[string][]int64{"labels": ids}, nil)
}

type giteaLabel struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

func (h onGitea) labels(ctx context.Context) (map[string]int64, error) {
	all := map[string]int64{}
	for page := 1; page <= mostPages; page++ {
		var list []giteaLabel
		if err := call(ctx, h.scm, http.MethodGet, h.path("labels?page=%d&limit=%d", page, pageSize), nil, &list); err != nil {
			return nil, err
		}
		for _, l := range list {
			all[strings.ToLower(l.Name)] = l.ID
		}
		if len(list) == 0 {
			break
		}
	}
	return all, nil
}

func (h onGitea) createLabel(ctx context.Context, name string) (int64, error) {
	var made giteaLabel
	err := call(ctx, h.scm, http.MethodPost, h.path("labels"), map[string]string{"name": name, "color": "#0e8a16"}, &made)
	return made.ID, err
}

func (h onGitea) merge(ctx context.Context, r Request, m Method) error {
	in := map[string]string{"Do": cmp.Or(string(m), string(MergeCommit)), "head_commit_id": r.Head}
	return call(ctx, h.scm, http.MethodPost, h.path("pulls/%d/merge", r.Number), in, nil)
}

func (h onGitea) close(ctx context.Context, r Request) error {
	return call(ctx, h.scm, http.MethodPatch, h.path("pulls/%d", r.Number), map[string]string{"state": "closed"}, nil)
}
