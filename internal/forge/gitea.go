package forge

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

type onGitea struct{ *Repository }

func (h onGitea) home() string { return "api/v1/repos/" + h.name }

func (h onGitea) path(format string, args ...any) string {
	return h.home() + "/" + fmt.Sprintf(format, args...)
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

func (h onGitea) createRepository(ctx context.Context, private bool) error {
	return h.createFor(ctx, "api/v1/", map[string]any{"name": h.short(), "private": private, "default_branch": firstBranch})
}

// hooks asks until a page is empty: a server may give fewer than it is asked for.
func (h onGitea) hooks(ctx context.Context, page int) ([]hook, bool, error) {
	var list []hubHook
	err := call(ctx, h.scm, http.MethodGet, h.path("hooks?page=%d&limit=%d", page, pageSize), nil, &list)
	return hubHooks(list, "gitea", "forgejo"), len(list) > 0, err
}

// createHook does it without go-scm, which writes the secret into the URL.
func (h onGitea) createHook(ctx context.Context, w Webhook) error {
	in := map[string]any{
		"type": "gitea", "active": true, "events": []string{"push"},
		"config": map[string]string{"url": w.URL, "content_type": "json", "secret": w.Secret},
	}
	return call(ctx, h.scm, http.MethodPost, h.path("hooks"), in, nil)
}

// protected asks about the branch itself only where a rule for several may be
// its own, before which one of its name would go: after a first push, Gitea fails
// to answer that for some seconds.
func (h onGitea) protected(ctx context.Context, branch string) (bool, error) {
	var rules []struct {
		Name string `json:"rule_name"`
	}
	if err := call(ctx, h.scm, http.MethodGet, h.path("branch_protections"), nil, &rules); err != nil {
		return false, err
	}
	several := false
	for _, rule := range rules {
		if strings.EqualFold(rule.Name, branch) {
			return true, nil
		}
		several = several || strings.ContainsAny(rule.Name, `*?[]{}\`)
	}
	if !several {
		return false, nil
	}
	return askProtected(ctx, h.scm, h.path("branches/%s", url.PathEscape(branch)))
}

func (h onGitea) protect(ctx context.Context, branch string) error {
	in := map[string]any{"rule_name": branch, "branch_name": branch, "enable_push": true}
	return call(ctx, h.scm, http.MethodPost, h.path("branch_protections"), in, nil)
}
