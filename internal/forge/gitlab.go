package forge

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

type onGitLab struct{ *Repository }

func (h onGitLab) home() string { return "api/v4/projects/" + url.PathEscape(h.name) }

func (h onGitLab) path(number int) string {
	return fmt.Sprintf("%s/merge_requests/%d", h.home(), number)
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

// createRepository leaves the default branch to the first push: GitLab takes one
// only together with a first commit of its own.
func (h onGitLab) createRepository(ctx context.Context, private bool) error {
	at := strings.LastIndex(h.name, "/")
	var namespace struct {
		ID int64 `json:"id"`
	}
	if err := call(ctx, h.scm, http.MethodGet, "api/v4/namespaces/"+url.PathEscape(h.name[:at]), nil, &namespace); err != nil {
		return fmt.Errorf("look up the group or user %s: %w", h.name[:at], err)
	}
	in := map[string]any{"name": h.short(), "path": h.short(), "namespace_id": namespace.ID, "visibility": "public"}
	if private {
		in["visibility"] = "private"
	}
	return call(ctx, h.scm, http.MethodPost, "api/v4/projects", in, nil)
}

// hooks reads them without go-scm, which does not see that GitLab has disabled
// one, nor all of its events.
func (h onGitLab) hooks(ctx context.Context, page int) ([]hook, bool, error) {
	var list []map[string]any
	err := call(ctx, h.scm, http.MethodGet, fmt.Sprintf("%s/hooks?page=%d&per_page=%d", h.home(), page, pageSize), nil, &list)
	var all []hook
	for _, fields := range list {
		id, _ := fields["id"].(float64)
		address, _ := fields["url"].(string)
		all = append(all, hook{id: strconv.FormatInt(int64(id), 10), url: address, right: gitLabHears(fields)})
	}
	return all, len(list) == pageSize, err
}

// gitLabHears reports whether a webhook sends pushes and nothing else. Each event
// is a field of its own, and every release of GitLab may add one.
func gitLabHears(fields map[string]any) bool {
	for name, value := range fields {
		if on, is := value.(bool); is && strings.HasSuffix(name, "_events") && on != (name == "push_events") {
			return false
		}
	}
	state, known := fields["alert_status"] // since GitLab 15
	return fields["push_events"] == true && (!known || state != "disabled")
}

// createHook does it without go-scm, which writes the secret into the URL of its
// question.
func (h onGitLab) createHook(ctx context.Context, w Webhook) error {
	in := map[string]any{"url": w.URL, "token": w.Secret, "push_events": true}
	return call(ctx, h.scm, http.MethodPost, h.home()+"/hooks", in, nil)
}

// protected asks about the branch and, where it is not there yet, looks through
// the rules: of several for a branch the most permissive holds, so one more would
// loosen what people have configured.
func (h onGitLab) protected(ctx context.Context, branch string) (bool, error) {
	is, err := askProtected(ctx, h.scm, h.home()+"/repository/branches/"+url.PathEscape(branch))
	if !said(err, http.StatusNotFound) {
		return is, err
	}
	var rules []struct {
		Name string `json:"name"`
	}
	err = call(ctx, h.scm, http.MethodGet, h.home()+"/protected_branches?per_page=100", nil, &rules)
	for _, rule := range rules {
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(rule.Name), `\*`, ".*") + "$"
		if is, _ := regexp.MatchString(pattern, branch); is {
			return true, nil
		}
	}
	return false, err
}

func (h onGitLab) protect(ctx context.Context, branch string) error {
	const developer = 30
	in := map[string]any{"name": branch, "push_access_level": developer, "merge_access_level": developer, "allow_force_push": false}
	return call(ctx, h.scm, http.MethodPost, h.home()+"/protected_branches", in, nil)
}
