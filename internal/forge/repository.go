package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/drone/go-scm/scm"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// firstBranch is the default branch of what is created, where the forge lets us
// say it.
const firstBranch = "main"

// takenHint is for answers with which forges also say that a name is in use.
const takenHint = "Where the forge says that the name is in use, it is by a repository that the token may not see, or that is still being deleted."

// rights are what a token needs to create, protect and delete repositories and
// their webhooks.
var rights = map[Kind]string{
	GitHub:          "On GitHub: the permissions Administration and Webhooks, read and write; of a classic token, the scopes repo and delete_repo.",
	GitLab:          "On GitLab: the scope api, and the role Maintainer; to delete, Owner.",
	Gitea:           "On Gitea: the scope write:repository, with write:organization or write:user of the owner, and to be the repository's administrator.",
	Bitbucket:       "On Bitbucket: the scopes repository:admin, repository:delete and webhook.",
	BitbucketServer: "On Bitbucket Server: to be the project's administrator.",
}

// CreateRepository makes the empty repository that a remote's URL names, for the
// organisation, group, workspace or project that owns it, or for the credential's
// own account. created is false where it is there already, whoever made it and
// whatever it holds; then private says nothing. kind and further errors are those
// of Open.
func CreateRepository(ctx context.Context, remote Remote, kind Kind, private bool) (created bool, err error) {
	r, err := On(ctx, remote, kind)
	if err != nil {
		return false, err
	}
	there, err := r.exists(ctx)
	if err != nil {
		return false, r.explainRight("look for the repository "+r.link, err)
	}
	if there {
		return false, nil
	}
	if err = r.host.createRepository(ctx, private); err == nil {
		return true, nil
	}
	// Two programs may do so at the same time, or the answer be lost.
	if there, again := r.exists(ctx); again == nil && there {
		return false, nil
	}
	what := "create the repository " + r.link
	if said(err, http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity) {
		return false, fault.Refused("ForgeRefused", fmt.Errorf("%s: %w", what, err), takenHint)
	}
	return false, r.explainRight(what, err)
}

// Delete deletes the repository with everything that is in it; nil when it is not
// there. A forge shows a repository that the credential may not see as one that is
// not there. GitLab may keep it for some days under another name.
func (r *Repository) Delete(ctx context.Context) error {
	there, err := r.exists(ctx)
	if err == nil && !there {
		return nil
	}
	if err == nil {
		if err = call(ctx, r.scm, http.MethodDelete, r.host.home(), nil, nil); err == nil {
			return nil
		}
		if there, again := r.exists(ctx); again == nil && !there {
			return nil
		}
	}
	return r.explainRight("delete the repository "+r.link, err)
}

// exists reports whether there is a repository of this very name. Forges send us
// on from a former name to what has been renamed: that one is not ours to delete,
// and its former name is free.
func (r *Repository) exists(ctx context.Context) (bool, error) {
	var got struct {
		FullName string `json:"full_name"`           // GitHub, Gitea, Bitbucket
		Path     string `json:"path_with_namespace"` // GitLab
		Leaving  string `json:"marked_for_deletion_on"`
		Slug     string `json:"slug"` // Bitbucket Server, with the project
		Project  struct {
			Key string `json:"key"`
		} `json:"project"`
	}
	there, err := found(call(ctx, r.scm, http.MethodGet, r.host.home(), nil, &got))
	if err != nil || !there {
		return false, err
	}
	name := got.FullName
	switch r.kind {
	case GitLab:
		name = got.Path
	case BitbucketServer:
		name = got.Project.Key + "/" + got.Slug
	}
	return strings.EqualFold(name, r.name) && got.Leaving == "", nil
}

// short is the repository's name without its owner.
func (r *Repository) short() string { return r.name[strings.LastIndex(r.name, "/")+1:] }

// createFor asks for a repository of an organisation and, where its owner is
// none, of the credential's own account: GitHub and Gitea would make one for that
// account whatever the URL says.
func (r *Repository) createFor(ctx context.Context, api string, in map[string]any) error {
	owner, _, _ := strings.Cut(r.name, "/")
	err := call(ctx, r.scm, http.MethodPost, api+"orgs/"+url.PathEscape(owner)+"/repos", in, nil)
	if !said(err, http.StatusNotFound) {
		return err
	}
	var me struct {
		Login string `json:"login"`
	}
	if err := call(ctx, r.scm, http.MethodGet, api+"user", nil, &me); err != nil {
		return fmt.Errorf("%s is no organisation; ask who the credential is: %w", owner, err)
	}
	if !strings.EqualFold(me.Login, owner) {
		return fault.Refused("ForgeNotFound", fmt.Errorf("create the repository %s: %s is neither an organisation that the credential may see nor its own account, %s", r.link, owner, me.Login),
			"Check the owner in the repository's URL, and whose token it is.")
	}
	return call(ctx, r.scm, http.MethodPost, api+"user/repos", in, nil)
}

// Protect keeps everybody from pushing by force to the branch and from deleting
// it; whoever may push to it still may. changed is false where it is protected
// already, in whatever way: what people have configured stays as it is. GitHub
// protects only a branch that is there.
func (r *Repository) Protect(ctx context.Context, branch string) (changed bool, err error) {
	is, err := r.host.protected(ctx, branch)
	if err == nil && is {
		return false, nil
	}
	if err == nil {
		if err = r.host.protect(ctx, branch); err == nil {
			return true, nil
		}
		if is, again := r.host.protected(ctx, branch); again == nil && is {
			return false, nil // by another program, at the same time
		}
	}
	return false, r.explainRight(fmt.Sprintf("protect the branch %s of %s", branch, r.link), err)
}

// askProtected asks about a branch, which three of the forges describe alike.
func askProtected(ctx context.Context, c *scm.Client, path string) (bool, error) {
	var branch struct {
		Protected bool `json:"protected"`
	}
	err := call(ctx, c, http.MethodGet, path, nil, &branch)
	return branch.Protected, err
}

// found takes the error of a question: what a forge does not have is no error.
func found(err error) (bool, error) {
	if said(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}

// said reports whether a forge answered with one of these codes.
func said(err error, codes ...int) bool {
	a, is := errors.AsType[*answer](err)
	for _, code := range codes {
		if is && a.status == code {
			return true
		}
	}
	return false
}

// explainRight is explain for what takes more rights than pull requests and
// statuses do.
func (r *Repository) explainRight(what string, err error) error {
	if said(err, http.StatusForbidden) && !retryable(err) {
		return fault.Refused("ForgePermissionDenied", fmt.Errorf("%s: %w", what, err), "The token lacks a right. "+rights[r.kind])
	}
	return explain(what, err)
}
