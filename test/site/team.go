package site

import "context"

// team is what sites have in common: a checkout, a registry, a Git host, and
// the names of the applications.
type team struct {
	Root       string // of the checkout
	Registry   string // host:port, one name for everybody
	StaticBase string // image that the examples stand on
	git        host

	Applications string // namespace of the applications' runs
	Owner        string // of the repositories

	Log func(format string, args ...any) // progress, one line
}

// host is where the repositories are.
type host interface {
	// gitURL is the clone URL of owner/name.
	gitURL(owner, name string) string
	// gitEnvironment lets the git program log in.
	gitEnvironment() ([]string, error)
}

// RepositoryURL is the clone URL of a repository.
func (t *team) RepositoryURL(name string) string { return t.git.gitURL(t.Owner, name) }

// chartRepository is where the applications' charts are published.
func (t *team) chartRepository() string { return "oci://" + t.Registry + "/charts" }

// Clone makes a working copy of a repository in dir.
func (t *team) Clone(ctx context.Context, repository, dir string) (*Checkout, error) {
	env, err := t.git.gitEnvironment()
	if err != nil {
		return nil, err
	}
	c := &Checkout{Dir: dir, env: env}
	_, err = command{env: env}.run(ctx, "git", "clone", "-q", t.RepositoryURL(repository), dir)
	return c, err
}

// author is who makes the commits of the examples.
func author() []string {
	return []string{
		"GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
	}
}
