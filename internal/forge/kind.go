package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/drone/go-scm/scm"
	"github.com/drone/go-scm/scm/driver/bitbucket"
	"github.com/drone/go-scm/scm/driver/gitea"
	"github.com/drone/go-scm/scm/driver/github"
	"github.com/drone/go-scm/scm/driver/gitlab"
	"github.com/drone/go-scm/scm/driver/stash"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Kind is a sort of forge.
type Kind string

// The kinds. Forgejo counts as Gitea, GitHub Enterprise as GitHub.
const (
	GitHub          Kind = "github"
	GitLab          Kind = "gitlab"
	Gitea           Kind = "gitea"
	Bitbucket       Kind = "bitbucket"
	BitbucketServer Kind = "bitbucket-server"
)

// Kinds are all of them.
var Kinds = []Kind{GitHub, GitLab, Gitea, Bitbucket, BitbucketServer}

const kindHint = "Say it with the parameter forge: github, gitlab, gitea, bitbucket or bitbucket-server."

// public are the forges that everybody knows by their host.
var public = map[string]Kind{
	"github.com": GitHub, "gitlab.com": GitLab, "bitbucket.org": Bitbucket, "gitea.com": Gitea, "codeberg.org": Gitea,
}

// Options say how a repository's forge is reached.
type Options struct {
	// URL of the repository over http or https, without credentials.
	URL string
	// Kind of the forge; "": that of the well-known hosts, else the host is asked.
	Kind Kind
	// Credential is asked before each request: tokens of an hour are renewed
	// under a running program. A user of "" or x-token-auth says that the
	// password is a token. nil: none.
	Credential func() (user, password string, ok bool, err error)
	// Transport reaches hosts, with the caller's proxies and certificates.
	Transport http.RoundTripper
}

// Remote is a repository as Git reaches it; git.Remote is one.
type Remote interface {
	Page() string
	Credential() (user, password string, ok bool, err error)
	RoundTripper() (http.RoundTripper, error)
}

// On opens the forge of a repository with what Git reaches it by: the same
// credential, proxies and certificates. kind and errors are those of Open.
func On(ctx context.Context, remote Remote, kind Kind) (*Repository, error) {
	through, err := remote.RoundTripper()
	if err != nil {
		return nil, err
	}
	return Open(ctx, Options{URL: remote.Page(), Kind: kind, Credential: remote.Credential, Transport: through})
}

// Open finds out what forge a repository is on. A usage fault UnknownForge when
// nothing tells. A host of known kind is not contacted.
func Open(ctx context.Context, o Options) (*Repository, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fault.Usage("UnknownForge", errors.New("the repository's URL names no web server"), "Pull requests and commit statuses need a URL with https:// or SSH to a forge.")
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	u.Path = strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
	kind := o.Kind
	if kind == "" {
		kind = public[strings.ToLower(u.Hostname())]
	}
	if kind == "" {
		if kind, err = ask(ctx, o, u); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(Kinds, kind) {
		return nil, fault.Usage("UnknownForge", fmt.Errorf("forge %.40q: unknown", kind), kindHint)
	}
	return open(o, kind, u)
}

// open divides the URL into the forge's address and the repository's name.
func open(o Options, kind Kind, u *url.URL) (*Repository, error) {
	prefix, name, err := split(kind, u.Path)
	if err != nil {
		return nil, err
	}
	r := &Repository{kind: kind, name: name, link: u.String()}
	root := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/" + prefix}
	switch kind {
	case GitHub:
		api := root.JoinPath("api/v3")
		if strings.EqualFold(u.Hostname(), "github.com") {
			api = &url.URL{Scheme: "https", Host: "api.github.com"}
		}
		r.scm, err = github.New(api.String())
		r.host = onGitHub{r}
	case GitLab:
		r.scm, err = gitlab.New(root.String())
		r.host = onGitLab{r}
	case Gitea:
		r.scm, err = gitea.New(root.String())
		r.host = onGitea{r}
	case Bitbucket:
		if strings.EqualFold(u.Hostname(), "bitbucket.org") {
			root = &url.URL{Scheme: "https", Host: "api.bitbucket.org"}
		}
		r.scm, err = bitbucket.New(root.String())
		r.host = onBitbucket{r}
	case BitbucketServer:
		r.scm, err = stash.New(root.String())
		r.host = onBitbucketServer{r}
	}
	if err != nil {
		return nil, err
	}
	r.scm.Client = newClient(o, kind, r.scm.BaseURL)
	return r, nil
}

// split tells the repository's name from the folder in which a forge may be
// served. GitLab's names have any number of parts, so one in a folder is not
// found out.
func split(kind Kind, path string) (prefix, name string, err error) {
	parts := strings.Split(path, "/")
	if len(parts) < 2 || slices.Contains(parts, "") {
		return "", "", fault.Usage("UnknownForge", fmt.Errorf("%q is not the path of a repository on a forge", path), "Example: https://git.example.com/acme/environment-staging.git")
	}
	if kind == GitLab {
		return "", path, nil
	}
	at := len(parts) - 2
	name = strings.Join(parts[at:], "/")
	if kind == BitbucketServer && at > 0 && parts[at-1] == "scm" {
		at--
	}
	return strings.Join(parts[:at], "/"), name, nil
}

// signs are questions that only one kind answers in that way.
var signs = []struct {
	kind Kind
	path string
	key  string // of the JSON object in the answer
}{
	{Gitea, "api/v1/version", "version"},
	{GitLab, "api/v4/version", "revision"},
	{GitHub, "api/v3/meta", "installed_version"},
	{BitbucketServer, "rest/api/1.0/application-properties", "buildNumber"},
}

// ask asks a host what it is. One that does not answer at all is an error of
// its own: it may be a matter of time.
func ask(ctx context.Context, o Options, u *url.URL) (Kind, error) {
	for _, s := range signs {
		prefix, _, err := split(s.kind, u.Path)
		if err != nil {
			return "", err
		}
		root := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/" + prefix}
		c := &scm.Client{BaseURL: root.JoinPath("/"), Client: newClient(o, s.kind, root)}
		var got map[string]json.RawMessage
		err = call(ctx, c, http.MethodGet, s.path, nil, &got)
		if _, has := got[s.key]; err == nil && has {
			return s.kind, nil
		}
		if retryable(err) {
			return "", explain("ask "+u.Host+" what forge it is", err)
		}
	}
	return "", fault.Usage("UnknownForge", fmt.Errorf("%s does not tell what forge it is", u.Host), kindHint)
}
