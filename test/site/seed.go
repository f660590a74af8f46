package site

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"sigs.k8s.io/yaml"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/gobuild"
)

// applications are the examples that become repositories.
var applications = []string{"user-service", "billing-service"}

// firstVersion is what the example environment names.
const firstVersion = "2.3.118"

// chartsPlaceholder is where the example environment says its charts are; a
// site puts its own registry there.
const chartsPlaceholder = "oci://registry.example.com/charts"

// programs builds our steps for this machine: they are ordinary programs, and
// the first versions are published with them before any pipeline exists.
func (t *team) programs(ctx context.Context, names ...string) (string, error) {
	bin := filepath.Join(t.Root, ".build", "bin")
	packages := make([]string, len(names))
	for i, name := range names {
		packages[i] = "./steps/" + name
	}
	return bin, t.compile(ctx, bin+"/", packages...)
}

// compile builds programs of this module.
func (t *team) compile(ctx context.Context, out string, packages ...string) error {
	build := gobuild.Build{Dir: t.Root, Out: out, Say: func(line string) { t.Log("%s", line) }}
	return build.Run(ctx, packages...)
}

// isEmpty says whether a repository has no branch yet.
func (t *team) isEmpty(ctx context.Context, repository string) (bool, error) {
	env, err := t.git.gitEnvironment()
	if err != nil {
		return false, err
	}
	out, err := command{env: env}.run(ctx, "git", "ls-remote", "--heads", t.RepositoryURL(repository))
	return strings.TrimSpace(out) == "", err
}

// seedApplications pushes the examples and publishes their first version, as
// their history before Lockstep would have.
func (t *team) seedApplications(ctx context.Context) error {
	for _, name := range applications {
		empty, err := t.isEmpty(ctx, name)
		if err != nil {
			return err
		}
		if !empty {
			continue
		}
		if err := t.Publish(ctx, name, firstVersion); err != nil {
			return fmt.Errorf("%s %s: %w", name, firstVersion, err)
		}
		if err := t.pushExample(ctx, name, name, func(c *Checkout) error {
			_, err := c.Git(ctx, "tag", "-a", "-m", "release "+firstVersion, "v"+firstVersion)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// Publish builds an example as it is and publishes image and chart under a version.
func (t *team) Publish(ctx context.Context, name, version string) error {
	bin, err := t.programs(ctx, "package-image", "package-chart")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lockstep-seed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(t.Root, "examples", name))); err != nil {
		return err
	}
	build := command{dir: dir, env: []string{"CGO_ENABLED=0", "GOWORK=off"}}
	if _, err := build.run(ctx, "go", "build", "-trimpath", "-o", "dist/", "."); err != nil {
		return err
	}
	repository := t.Registry + "/" + t.Owner + "/" + name
	digestFile := filepath.Join(dir, "digest")
	publish := command{dir: dir, env: []string{"RESULT_IMAGE_DIGEST_PATH=" + digestFile}}
	if _, err := publish.run(ctx, filepath.Join(bin, "package-image"), "--source=.", "--base="+t.StaticBase, "--files=dist/"+name+":/usr/bin/"+name,
		"--entrypoint=/usr/bin/"+name, "--repository="+repository, "--tag="+version, "--version="+version, "--insecure="+t.Registry); err != nil {
		return err
	}
	digest, err := os.ReadFile(digestFile)
	if err != nil {
		return err
	}
	_, err = publish.run(ctx, filepath.Join(bin, "package-chart"), "--source=.", "--path=charts/"+name, "--version="+version,
		"--image="+repository+":"+version, "--image-digest="+string(digest), "--repository="+t.chartRepository(), "--insecure="+t.Registry)
	return err
}

// Entry is what environments.yaml says of an environment by itself: versions are
// promoted to it by hand, as a commit.
func (t *team) Entry(e Environment) environment.Environment {
	return environment.Environment{
		Name: e.Name, Repository: t.RepositoryURL(e.Repository()), Path: ".", Namespace: e.Namespace,
		Promotion: environment.Manual, Delivery: environment.ByCommit,
	}
}

// Entries are those of the site's environments: the first follows the
// applications by itself.
func (t *team) Entries() []environment.Environment {
	var entries []environment.Environment
	for _, e := range t.Environments {
		entries = append(entries, t.Entry(e))
	}
	entries[0].Promotion = environment.Auto
	return entries
}

// pushEnvironmentsFile says which environments there are. What is told on the
// site counts on that, so whatever else was left there is replaced.
func (t *team) pushEnvironmentsFile(ctx context.Context) error {
	empty, err := t.isEmpty(ctx, environmentsRepository)
	if err != nil {
		return err
	}
	if !empty {
		return t.Declare(ctx, t.Entries()...)
	}
	return t.pushFirst(ctx, environmentsRepository, func(dir string) error {
		return writeEnvironments(dir, t.Entries())
	}, nil)
}

// Declare says anew which environments there are, with a commit unless that is
// said already.
func (t *team) Declare(ctx context.Context, entries ...environment.Environment) error {
	dir, err := os.MkdirTemp("", "lockstep-environments-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c, err := t.Clone(ctx, environmentsRepository, dir)
	if err != nil {
		return err
	}
	if err := writeEnvironments(dir, entries); err != nil {
		return err
	}
	changed, err := c.Git(ctx, "status", "--porcelain")
	if err != nil || changed == "" {
		return err
	}
	_, err = c.Push(ctx, "feat: the environments are others")
	return err
}

func writeEnvironments(dir string, entries []environment.Environment) error {
	file := environment.Environments{APIVersion: environment.APIVersion, Kind: environment.Kind, Environments: entries}
	text, err := yaml.Marshal(file)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "environments.yaml"), text, 0o644)
}

// pushExample makes a folder of examples/ the first commit of a repository.
func (t *team) pushExample(ctx context.Context, example, repository string, prepare func(*Checkout) error) error {
	return t.pushFirst(ctx, repository, func(dir string) error {
		return os.CopyFS(dir, os.DirFS(filepath.Join(t.Root, "examples", example)))
	}, prepare)
}

// pushFirst makes the first commit of a repository.
func (t *team) pushFirst(ctx context.Context, repository string, write func(dir string) error, prepare func(*Checkout) error) error {
	dir, err := os.MkdirTemp("", "lockstep-seed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	env, err := t.git.gitEnvironment()
	if err != nil {
		return err
	}
	if err := write(dir); err != nil {
		return err
	}
	c := &Checkout{Dir: dir, env: env}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "feat: first version"}} {
		if _, err := c.Git(ctx, args...); err != nil {
			return err
		}
	}
	if prepare != nil {
		if err := prepare(c); err != nil {
			return err
		}
	}
	_, err = c.Git(ctx, "push", "-q", "--follow-tags", t.RepositoryURL(repository), "main")
	return err
}

// pushEnvironments makes the first commit of each environment; its webhook
// starts the first deployment.
func (t *team) pushEnvironments(ctx context.Context) error {
	for _, e := range t.Environments {
		if err := t.pushEnvironment(ctx, e.Repository()); err != nil {
			return err
		}
	}
	return nil
}

// pushEnvironment pushes the example environment to an empty repository.
func (t *team) pushEnvironment(ctx context.Context, repository string) error {
	empty, err := t.isEmpty(ctx, repository)
	if err != nil || !empty {
		return err
	}
	return t.pushExample(ctx, "environment-staging", repository, func(c *Checkout) error {
		if err := t.useRegistry(c.Dir); err != nil {
			return err
		}
		_, err := c.Git(ctx, "commit", "-q", "-a", "-m", "chore: charts come from the registry of this site")
		return err
	})
}

// useRegistry lets the environment in dir take its charts from this site's
// registry, and keeps the lock in step.
func (t *team) useRegistry(dir string) error {
	charts, lock := filepath.Join(dir, "requirements.yaml"), filepath.Join(dir, "requirements.lock")
	before, err := os.ReadFile(charts)
	if err != nil {
		return err
	}
	after := bytes.ReplaceAll(before, []byte(chartsPlaceholder), []byte(t.chartRepository()))
	locked, err := os.ReadFile(lock)
	if err != nil {
		return err
	}
	if locked, err = edit.Relock(locked, before, after); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(charts, after, 0o644), os.WriteFile(lock, locked, 0o644))
}
