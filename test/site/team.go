package site

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// team is what sites have in common: a checkout, a registry, a Git host, and
// the names of the applications.
type team struct {
	Root       string // of the checkout
	Registry   string // host:port, one name for everybody
	StaticBase string // image that the examples stand on
	git        host
	kubeconfig string // "": as kubectl finds it

	Applications string // namespace of the applications' runs
	Lockstep     string // namespace that reconcile runs in
	Owner        string // of the repositories
	Environments []Environment

	Log func(format string, args ...any) // progress, one line
}

// newTeam has the names of the example: two environments, the first of which
// follows the applications by itself.
func newTeam(root string, log func(string, ...any)) (team, error) {
	root, err := filepath.Abs(root)
	return team{
		Root: root, Log: log, Applications: "acme-applications", Lockstep: "acme-lockstep", Owner: "acme",
		Environments: []Environment{
			{Name: "staging", Namespace: "acme-staging"},
			{Name: "production", Namespace: "acme-production"},
		},
	}, err
}

// Environment is one of a site's.
type Environment struct{ Name, Namespace string }

// RunNamespace is where the environment's pipelines run.
func (e Environment) RunNamespace() string { return e.Namespace + "-lockstep" }

// Repository is that of the environment, without its owner.
func (e Environment) Repository() string { return "environment-" + e.Name }

// Staging is the environment that every new version goes to by itself.
func (t *team) Staging() Environment { return t.Environments[0] }

// Production is the environment whose versions somebody promotes.
func (t *team) Production() Environment { return t.Environments[1] }

// install does the parts of an installation in order and tells each.
func (t *team) install(ctx context.Context, parts []part) error {
	for _, p := range parts {
		t.Log("%s", p.what)
		if err := p.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.what, err)
		}
	}
	return nil
}

type part struct {
	what string
	do   func(context.Context) error
}

// webhooks says which namespace hears of the pushes to which repository.
func (t *team) webhooks() map[string]string {
	namespaces := map[string]string{}
	for _, e := range t.Environments {
		namespaces[e.Repository()] = e.RunNamespace()
	}
	for _, name := range applications {
		namespaces[name] = t.Applications
	}
	return namespaces
}

// repositories are the names of all, without their owner, with those of further
// environments.
func (t *team) repositories(further ...Environment) []string {
	all := append(slices.Sorted(maps.Keys(t.webhooks())), environmentsRepository)
	for _, e := range further {
		all = append(all, e.Repository())
	}
	return all
}

// environmentsRepository holds environments.yaml.
const environmentsRepository = "environments"

// namespaces are all that the site makes, with those of further environments.
func (t *team) namespaces(further ...Environment) []string {
	all := []string{t.Applications, t.Lockstep}
	for _, e := range slices.Concat(t.Environments, further) {
		all = append(all, e.RunNamespace(), e.Namespace)
	}
	return all
}

// runNamespaces are those in which pipelines run.
func (t *team) runNamespaces() []string {
	all := []string{t.Applications, t.Lockstep}
	for _, e := range t.Environments {
		all = append(all, e.RunNamespace())
	}
	return all
}

// Files that are filled in, from the root.
const (
	siteFile         = "examples/site/lockstep.yaml"
	environmentsFile = "examples/site/environments.yaml"
	applicationsFile = "examples/site/applications.yaml"
	applicationFile  = "internal/provision/triggers/application/github.yaml"
	promotionFile    = "examples/site/promotion.yaml"
	environmentFile  = "internal/provision/environment.yaml"
	triggerFile      = "internal/provision/triggers/environment/github.yaml"
)

// siteValues fill siteFile and environmentsFile in.
func (t *team) siteValues() map[string]string {
	return map[string]string{
		"LOCKSTEP_NAMESPACE": t.Lockstep, "APPLICATIONS_NAMESPACE": t.Applications,
		"ENVIRONMENTS": t.EnvironmentsURL(), "WEBHOOK_URL": "http://{address}", "INSECURE_REGISTRIES": t.Registry,
		"REPOSITORY": t.Owner + "/" + environmentsRepository, "BRANCH": "main",
	}
}

// applicationValues fill applicationFile in.
func (t *team) applicationValues(application, testImage string) map[string]string {
	return map[string]string{
		"APPLICATIONS_NAMESPACE": t.Applications, "APPLICATION": application,
		"REPOSITORY": t.Owner + "/" + application, "BRANCH": "main",
		"TEST_IMAGE": testImage, "TEST_COMMAND": "go test ./... && CGO_ENABLED=0 go build -trimpath -o dist/ .",
		"IMAGE_BASE": t.StaticBase, "IMAGE_FILES": "dist/" + application + ":/usr/bin/" + application, "IMAGE_ENTRYPOINT": "/usr/bin/" + application,
		"IMAGE_REPOSITORY": t.Registry + "/" + t.Owner + "/" + application,
		"CHART_PATH":       "charts/" + application, "CHART_REPOSITORY": t.chartRepository(), "CHART_NAME": application, "CHART_ALIAS": "",
		"INSECURE_REGISTRIES": t.Registry, "ENVIRONMENTS": t.EnvironmentsURL(), "ENVIRONMENTS_FILE": "environments.yaml",
		"ADD_MISSING": "false", "ENVIRONMENTS_CHART_REPOSITORY": "",
	}
}

// environmentValues fill environmentFile and triggerFile in.
func (t *team) environmentValues(e Environment) map[string]string {
	return map[string]string{
		"ENVIRONMENT": e.Name, "NAMESPACE": e.Namespace,
		"REPOSITORY": t.Owner + "/" + e.Repository(), "BRANCH": "main", "PATH": ".", "ENVIRONMENTS_FILE": "environments.yaml", "INSECURE_REGISTRIES": t.Registry,
		"ENVIRONMENTS": t.EnvironmentsURL(), "URL": t.RepositoryURL(e.Repository()), "LOCKSTEP_NAMESPACE": t.Lockstep,
	}
}

// EnvironmentsURL is the repository of environments.yaml.
func (t *team) EnvironmentsURL() string { return t.RepositoryURL(environmentsRepository) }

// fill returns a file with its values filled in. A value that the file names and
// nobody gives is an error.
func (t *team) fill(name string, values map[string]string) (string, error) {
	text, err := os.ReadFile(filepath.Join(t.Root, name))
	if err != nil {
		return "", err
	}
	var missing []string
	filled := os.Expand(string(text), func(key string) string {
		value, ok := values[key]
		if !ok {
			missing = append(missing, key)
		}
		return value
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("%s: no value for %v", name, missing)
	}
	return filled, nil
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

// author is the person who develops and promotes, to git and to lockstep.
func author() []string { return []string{"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com"} }

// withoutConfiguration is git as the same person, whatever this machine's configuration says.
func withoutConfiguration() []string {
	return append(author(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
}
