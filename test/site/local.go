package site

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/runner"
)

// Local is a site on this machine, without a cluster of its own: the servers of
// `lockstep local`, a control plane with simulated nodes, and pipelines that run
// as programs. It is set up with the commands that people have.
type Local struct {
	team

	program string // lockstep
	state   string // apart from the user's own
}

// NewLocal describes the site; Install makes it.
func NewLocal(root string, log func(string, ...any)) (*Local, error) {
	t, err := newTeam(root, log)
	if err != nil {
		return nil, err
	}
	t.StaticBase = "scratch"
	// What is published names its registry: another port is another site.
	state := filepath.Join(t.Root, ".build", "local"+os.Getenv("LOCKSTEP_LOCAL_PORT"))
	return &Local{team: t, program: filepath.Join(t.Root, ".build", "bin", "lockstep"), state: state}, nil
}

// loopback is a Git host that asks for no login.
type loopback struct{ git string }

func (l loopback) gitURL(owner, name string) string  { return l.git + "/" + owner + "/" + name + ".git" }
func (l loopback) gitEnvironment() ([]string, error) { return withoutConfiguration(), nil }

// Install starts the servers and connects the repositories with the pipelines.
func (l *Local) Install(ctx context.Context) error {
	return l.install(ctx, []part{
		{"build lockstep", l.build},
		{"start Git, a registry and a control plane with simulated nodes", l.up},
		{"apply namespaces, tasks, pipelines, triggers and secrets", l.applyAll},
		{"publish the services' first versions", l.seedApplications},
		{"say which environments there are", l.pushEnvironmentsFile},
		{"connect the webhooks", l.connect},
		{"push the environments' first commits", l.pushEnvironments},
	})
}

// build makes lockstep, which makes the steps when they are first needed.
func (l *Local) build(ctx context.Context) error {
	return l.compile(ctx, l.program, "./cmd/lockstep")
}

// Lockstep runs the program as a user would, with the site's own state.
func (l *Local) Lockstep(ctx context.Context, args ...string) (string, error) {
	return l.lockstep(nil).run(ctx, l.program, args...)
}

func (l *Local) lockstep(tell func(string, ...any)) command {
	return command{dir: l.Root, env: append(author(), "LOCKSTEP_STATE="+l.state), tell: tell}
}

// goVariables let the application's own test, which runs with a home of its
// own, find what go has compiled already.
var goVariables = []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN"}

func (l *Local) up(ctx context.Context) error {
	args := []string{"local", "up", "--allow-host", "--engine", "none"}
	for _, name := range goVariables {
		value, err := command{dir: l.Root}.run(ctx, "go", "env", name)
		if err != nil {
			return err
		}
		args = append(args, "--env", name+"="+strings.TrimSpace(value))
	}
	if _, err := l.lockstep(l.Log).run(ctx, l.program, args...); err != nil {
		return err
	}
	out, err := l.Lockstep(ctx, "local", "status", "--output", "json")
	if err != nil {
		return err
	}
	var status struct{ Git, Registry, Kubeconfig string }
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return err
	}
	l.git, l.Registry, l.kubeconfig = loopback{status.Git}, status.Registry, status.Kubeconfig
	return nil
}

// State is the folder that holds everything, LOCKSTEP_STATE for lockstep.
func (l *Local) State() string { return l.state }

// Down stops what Install started.
func (l *Local) Down(ctx context.Context) error {
	if _, err := os.Stat(l.program); err != nil {
		return nil // it was never up
	}
	_, err := l.lockstep(l.Log).run(ctx, l.program, "local", "down")
	return err
}

func (l *Local) applyAll(ctx context.Context) error {
	if err := l.createNamespaces(ctx); err != nil {
		return err
	}
	shared := []string{"pipelines/triggers/webhook.yaml"}
	secrets, err := l.secrets()
	if err != nil {
		return err
	}
	apps := append([]string{secrets, "pipelines/triggers/application.yaml", "pipelines/application/application.yaml",
		"tasks/build/build.yaml", "tasks/promote/promote.yaml"}, shared...)
	for _, application := range applications {
		file, err := l.trigger(applicationFile, l.applicationValues(application, "go"))
		if err != nil {
			return err
		}
		apps = append(apps, file)
	}
	if err := l.apply(ctx, l.Applications, apps); err != nil {
		return err
	}
	for _, e := range l.Environments {
		file, err := l.trigger(triggerFile, l.environmentValues(e))
		if err != nil {
			return err
		}
		files := append([]string{file, secrets, "pipelines/triggers/environment.yaml", "pipelines/environment/environment.yaml",
			"tasks/deploy/deploy.yaml", "tasks/conclude/conclude.yaml"}, shared...)
		if err := l.apply(ctx, e.RunNamespace(), files); err != nil {
			return err
		}
	}
	return nil
}

func (l *Local) apply(ctx context.Context, namespace string, files []string) error {
	_, err := l.Lockstep(ctx, append([]string{"local", "apply", "--namespace", namespace}, files...)...)
	return err
}

// document matches the YAML document of a Trigger: accounts and rights have no
// meaning without a cluster.
var document = regexp.MustCompile(`(?m)^kind: Trigger$`)

// trigger fills a file in and writes its Trigger to a file.
func (l *Local) trigger(name string, values map[string]string) (string, error) {
	filled, err := l.fill(name, values)
	if err != nil {
		return "", err
	}
	documents := strings.Split(filled, "\n---\n")
	i := slices.IndexFunc(documents, document.MatchString)
	if i < 0 {
		return "", fmt.Errorf("%s holds no Trigger", name)
	}
	return l.write("trigger-"+values["APPLICATION"]+values["ENVIRONMENT"]+".yaml", documents[i])
}

// secrets are made once, and then stay.
func (l *Local) secrets() (string, error) {
	path := filepath.Join(l.state, "objects", "secrets.yaml")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return l.write("secrets.yaml", fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: lockstep-webhook}
stringData: {secret: %s}
---
apiVersion: v1
kind: Secret
metadata: {name: lockstep-git}
stringData: {username: ada, password: %s}
---
apiVersion: v1
kind: Secret
metadata: {name: lockstep-registry}
stringData: {config.json: "{}"}
`, random(), random()))
}

func (l *Local) write(name, text string) (string, error) {
	path := filepath.Join(l.state, "objects", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o600)
}

func (l *Local) seedApplications(ctx context.Context) error {
	for _, name := range applications {
		if _, err := l.Lockstep(ctx, "local", "create", l.Owner+"/"+name); err != nil {
			return err
		}
	}
	return l.team.seedApplications(ctx)
}

func (l *Local) pushEnvironmentsFile(ctx context.Context) error {
	if _, err := l.Lockstep(ctx, "local", "create", l.Owner+"/"+environmentsRepository); err != nil {
		return err
	}
	return l.team.pushEnvironmentsFile(ctx)
}

// connect comes after the first versions, or their push would start a run.
func (l *Local) connect(ctx context.Context) error {
	for repository, namespace := range l.webhooks() {
		if _, err := l.Lockstep(ctx, "local", "create", l.Owner+"/"+repository, "--webhook", namespace); err != nil {
			return err
		}
	}
	return nil
}

// runs are those that lockstep keeps for this site.
func (l *Local) runs() runner.Store { return runner.Store{Dir: filepath.Join(l.state, "runs")} }
