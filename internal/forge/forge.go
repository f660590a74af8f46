// Package forge talks to the programs around Git repositories – GitHub, GitLab,
// Gitea, Bitbucket – about pull requests, commit statuses, repositories and
// webhooks. It reads and writes no Git objects, and knows nothing of promotions.
//
// Every answer is bounded in time and size. The credential goes to the forge of
// the repository and to no other host, and never into a text.
package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/drone/go-scm/scm"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Errors that callers branch on, next to the faults that they carry.
var (
	// ErrMerge: the forge does not merge the request as things are: checks are
	// missing, a review, or the branch moved meanwhile. That may change.
	ErrMerge = errors.New("not mergeable")
	// ErrClosed: somebody closed the request without merging it.
	ErrClosed = errors.New("closed without merging")
)

// Request is a pull request, or a merge request, as it was when it was read.
type Request struct {
	Number       int
	URL          string // for people
	Title, Body  string
	Branch, Base string // short names of branches
	Head         string // commit at the end of Branch; Bitbucket shortens it
	Open, Merged bool
	MergedCommit string // what Base got, once Merged, where the forge tells
	// Ready: the forge would merge it now, and no check that it knows of has
	// failed or is still running.
	Ready bool
	// Why it is not Ready, in the forge's words, or "".
	Why    string
	Labels []string
}

// Proposal is what a pull request shall be.
type Proposal struct {
	Title, Body  string
	Branch, Base string // short names
	Labels       []string
}

// Repository is a repository on its forge.
type Repository struct {
	kind Kind
	name string // owner/name; on GitLab with all groups
	link string // for people
	scm  *scm.Client
	host host
}

// host is what the forges do each in their own way.
type host interface {
	get(ctx context.Context, number int) (Request, error)
	edit(ctx context.Context, number int, title, body string) error
	label(ctx context.Context, number int, labels []string) error
	merge(ctx context.Context, r Request, m Method) error
	close(ctx context.Context, r Request) error
	status(ctx context.Context, commit string, s Status) error

	home() string // the repository's own path
	createRepository(ctx context.Context, private bool) error
	hooks(ctx context.Context, page int) (list []hook, more bool, err error)
	createHook(ctx context.Context, w Webhook) error
	protected(ctx context.Context, branch string) (bool, error)
	protect(ctx context.Context, branch string) error
}

// Kind is what sort of forge the repository is on.
func (r *Repository) Kind() Kind { return r.kind }

// Bounds of the list of open requests that is looked through.
const (
	pageSize  = 50
	mostPages = 40
)

// Find returns the open request from a branch into base; ok is false where
// there is none.
func (r *Repository) Find(ctx context.Context, branch, base string) (found Request, ok bool, err error) {
	for page := 1; page <= mostPages; page++ {
		list, res, err := r.scm.PullRequests.List(ctx, r.name, scm.PullRequestListOptions{Open: true, Page: page, Size: pageSize})
		if err != nil {
			return Request{}, false, r.explain("list the pull requests", err)
		}
		for _, p := range list {
			if p.Source == branch && p.Target == base && !p.Closed && r.own(p.Fork) {
				found, err = r.Get(ctx, p.Number)
				return found, err == nil, err
			}
		}
		if len(list) < pageSize && res.Page.Next == 0 {
			return Request{}, false, nil
		}
	}
	return Request{}, false, r.explain("list the pull requests", fmt.Errorf("more than %d are open", mostPages*pageSize))
}

// own reports whether a request's branch is in this very repository: a fork may
// have a branch of the same name, which is nothing of ours.
func (r *Repository) own(fork string) bool { return fork == "" || strings.EqualFold(fork, r.name) }

// Get reads a request.
func (r *Repository) Get(ctx context.Context, number int) (Request, error) {
	got, err := r.host.get(ctx, number)
	if err != nil {
		return Request{}, r.explain(fmt.Sprintf("read pull request %d", number), err)
	}
	return got, nil
}

// Propose opens the request, or gives the one that is open from the same branch
// into the same base its new title, text and labels. The branch is there already.
func (r *Repository) Propose(ctx context.Context, p Proposal) (Request, error) {
	open, ok, err := r.Find(ctx, p.Branch, p.Base)
	if err != nil {
		return Request{}, err
	}
	if !ok {
		if open, err = r.create(ctx, p); err != nil {
			return Request{}, err
		}
	} else if open.Title != p.Title || strings.TrimSpace(open.Body) != strings.TrimSpace(p.Body) {
		if err := r.host.edit(ctx, open.Number, p.Title, p.Body); err != nil {
			return Request{}, r.explain(fmt.Sprintf("edit pull request %d", open.Number), err)
		}
	}
	if missing := without(p.Labels, open.Labels); len(missing) > 0 {
		if err := r.host.label(ctx, open.Number, missing); err != nil {
			return Request{}, r.explain(fmt.Sprintf("label pull request %d", open.Number), err)
		}
	}
	return r.Get(ctx, open.Number)
}

// create opens a request. Two programs may do so at the same time, or the
// answer be lost: the one that is open then is ours.
func (r *Repository) create(ctx context.Context, p Proposal) (Request, error) {
	created, _, err := r.scm.PullRequests.Create(ctx, r.name, &scm.PullRequestInput{Title: p.Title, Body: p.Body, Source: p.Branch, Target: p.Base})
	if err == nil {
		return Request{Number: created.Number}, nil
	}
	if found, ok, findErr := r.Find(ctx, p.Branch, p.Base); findErr == nil && ok {
		return found, nil
	}
	return Request{}, r.explain(fmt.Sprintf("open a pull request from %s into %s", p.Branch, p.Base), err)
}

func without(wanted, have []string) []string {
	var missing []string
	for _, w := range wanted {
		found := false
		for _, h := range have {
			found = found || strings.EqualFold(w, h)
		}
		if !found {
			missing = append(missing, w)
		}
	}
	return missing
}

// Method is how a request is merged; "" leaves it to the forge.
type Method string

// The methods that all forges have in some form.
const (
	MergeCommit Method = "merge"
	Squash      Method = "squash"
	Rebase      Method = "rebase" // on Bitbucket: fast-forward
)

// Check is a usage fault for what is no method.
func (m Method) Check() error {
	switch m {
	case "", MergeCommit, Squash, Rebase:
		return nil
	}
	return fault.Usage("InvalidMergeMethod", fmt.Errorf("merge method %.40q: unknown", string(m)), "One of merge, squash and rebase; empty leaves it to the forge.")
}

// Merge merges a request as it was read: when its branch moved since, the forge
// refuses, except on Bitbucket Cloud, which cannot compare. ErrMerge when it
// cannot be merged as things are.
func (r *Repository) Merge(ctx context.Context, request Request, m Method) error {
	err := r.host.merge(ctx, request, m)
	if a, ok := errors.AsType[*answer](err); ok && mergeAnswers[a.status] {
		return fmt.Errorf("merge %s: %w: %w", request.URL, ErrMerge, err)
	}
	if err != nil {
		return r.explain("merge "+request.URL, err)
	}
	return nil
}

// mergeAnswers are those that forges give when a request is not ready: not
// allowed, conflict, precondition, not acceptable, unprocessable.
var mergeAnswers = map[int]bool{405: true, 406: true, 409: true, 412: true, 422: true}

// Close closes a request without merging it.
func (r *Repository) Close(ctx context.Context, request Request) error {
	if err := r.host.close(ctx, request); err != nil {
		return r.explain("close "+request.URL, err)
	}
	return nil
}

// call is one question in JSON. in and out may be nil.
func call(ctx context.Context, c *scm.Client, method, path string, in, out any) error {
	request := &scm.Request{Method: method, Path: path, Header: http.Header{"Accept": {"application/json"}, "X-Atlassian-Token": {"no-check"}}}
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		request.Body = strings.NewReader(string(text))
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.Do(ctx, request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
