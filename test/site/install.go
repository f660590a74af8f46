package site

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// Install puts Lockstep into the cluster and connects the repositories with it.
func (s *Site) Install(ctx context.Context) error {
	return s.install(ctx, []part{
		{"look at the cluster", s.suitable},
		{"build the programs with ko and push them to " + s.Registry, s.resolveTasks},
		{"apply namespaces, rights, tasks, pipelines and triggers", s.applyAll},
		{"create the repositories in Gitea", s.createRepositories},
		{"publish the services' first versions", s.seedApplications},
		{"say which environments there are", s.pushEnvironmentsFile},
		{"connect the webhooks", s.connectWebhooks},
		{"push the environments' first commits", s.pushEnvironments},
	})
}

// resolved is where the Tasks lie with their images built and pushed.
func (s *Site) resolved() string { return filepath.Join(s.Root, ".build", "tasks.yaml") }

// resolveTasks builds and pushes the programs, unless that was done for the
// same sources and the registry still has the images: linking ten programs
// takes a minute even when everything is compiled.
func (s *Site) resolveTasks(ctx context.Context) error {
	key, err := s.sourceKey()
	if err != nil {
		return err
	}
	stamp := filepath.Join(s.Root, ".build", "tasks.key")
	if last, err := os.ReadFile(stamp); err == nil && string(last) == key && s.imagesPresent(ctx) {
		s.Log("nothing changed since they were pushed")
		return nil
	}
	if err := s.koResolve(ctx); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(key), 0o644)
}

// sourceKey stands for everything that the images and the Tasks are made from.
func (s *Site) sourceKey() (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, s.Registry, s.StaticBase, runtime.Version())
	for _, top := range []string{"go.mod", "go.sum", "ko.yaml", "internal", "steps", "tasks"} {
		err := filepath.WalkDir(filepath.Join(s.Root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

var imageLine = regexp.MustCompile(`(?m)^\s*image: ([^/\s]+)/(\S+)@(sha256:[0-9a-f]{64})$`)

// imagesPresent asks the registry for every image that the resolved Tasks name.
func (s *Site) imagesPresent(ctx context.Context) bool {
	text, err := os.ReadFile(s.resolved())
	if err != nil {
		return false
	}
	images := imageLine.FindAllStringSubmatch(string(text), -1)
	for _, image := range images {
		digest, err := s.request(ctx, http.MethodHead, "http://"+image[1]+"/v2/"+image[2]+"/manifests/"+image[3])
		if err != nil || digest == "" {
			return false
		}
	}
	return len(images) > 0
}

func (s *Site) koResolve(ctx context.Context) error {
	sources, err := filepath.Glob(filepath.Join(s.Root, "tasks", "*", "*.yaml"))
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("no Tasks below %s/tasks: %v", s.Root, err)
	}
	args := []string{"resolve", "--platform", "linux/amd64", "--sbom", "none", "--base-import-paths"}
	for _, source := range sources {
		args = append(args, "-f", source)
	}
	c := command{dir: s.Root, env: []string{
		"KO_CONFIG_PATH=" + filepath.Join(s.Root, "ko.yaml"), "KO_DEFAULTBASEIMAGE=" + s.StaticBase, "KO_DOCKER_REPO=" + s.Registry + "/lockstep",
	}}
	out, err := c.run(ctx, "ko", args...)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.resolved()), 0o755); err != nil {
		return err
	}
	return os.WriteFile(s.resolved(), []byte(out), 0o644)
}

// reconcileImage is how siteFile names the program's image.
const reconcileImage = "ko://github.com/lockstep-cd/lockstep/steps/reconcile"

// applySite makes the namespace that reconcile runs in. Its schedule is suspended:
// those who look say when.
func (s *Site) applySite(ctx context.Context) error {
	tasks, err := os.ReadFile(s.resolved())
	if err != nil {
		return err
	}
	image := regexp.MustCompile(`\S+/reconcile@sha256:[0-9a-f]{64}`).FindString(string(tasks))
	if image == "" {
		return fmt.Errorf("%s names no image of reconcile", s.resolved())
	}
	manifests, err := s.fill(siteFile, s.siteValues())
	if err != nil {
		return err
	}
	if err := s.apply(ctx, "", strings.ReplaceAll(manifests, reconcileImage, image)); err != nil {
		return err
	}
	if _, err := s.Kubectl(ctx, "patch", "cronjob", "reconcile", "-n", s.Lockstep, "--type=merge", "-p", `{"spec":{"suspend":true}}`); err != nil {
		return err
	}
	if err := s.applyTemplate(ctx, environmentsFile, s.siteValues()); err != nil {
		return err
	}
	return s.prepareRuns(ctx, s.Lockstep)
}

// Reconcile runs the program once in the cluster and returns what it said.
func (s *Site) Reconcile(ctx context.Context) (said string, err error) {
	name := "reconcile-" + random()[:8]
	if _, err := s.Kubectl(ctx, "create", "job", name, "--from=cronjob/reconcile", "-n", s.Lockstep); err != nil {
		return "", err
	}
	var job struct {
		Status struct{ Succeeded, Failed int }
	}
	err = Until(ctx, "job "+name, func(ctx context.Context) (bool, error) {
		err := s.Get(ctx, &job, "job", name, "-n", s.Lockstep)
		return job.Status.Succeeded+job.Status.Failed > 0, err
	})
	if err != nil {
		return "", err
	}
	said, err = s.Kubectl(ctx, "logs", "job/"+name, "-n", s.Lockstep)
	if err == nil && job.Status.Failed > 0 {
		err = fmt.Errorf("reconcile failed:\n%s", said)
	}
	return said, err
}

// ConnectEnvironments lets a push to environments.yaml start reconcile.
func (s *Site) ConnectEnvironments(ctx context.Context) error {
	return s.connect(ctx, environmentsRepository, s.Lockstep)
}

// DisconnectEnvironments takes that back.
func (s *Site) DisconnectEnvironments(ctx context.Context) error {
	return s.Gitea.DropWebhooks(ctx, s.Owner, environmentsRepository)
}

func (s *Site) applyAll(ctx context.Context) error {
	if err := s.applySite(ctx); err != nil {
		return err
	}
	if err := s.applyTemplate(ctx, applicationsFile, s.siteValues()); err != nil {
		return err
	}
	if err := s.prepareRuns(ctx, s.Applications); err != nil {
		return err
	}
	for _, e := range s.Environments {
		if err := s.applyEnvironment(ctx, e); err != nil {
			return err
		}
	}
	for _, application := range applications {
		if err := s.applyTemplate(ctx, applicationFile, s.applicationValues(application, s.GoImage)); err != nil {
			return err
		}
	}
	return s.awaitListeners(ctx, s.runNamespaces())
}

func (s *Site) applyEnvironment(ctx context.Context, e Environment) error {
	for _, file := range []string{environmentFile, triggerFile} {
		if err := s.applyTemplate(ctx, file, s.environmentValues(e)); err != nil {
			return err
		}
	}
	return s.prepareRuns(ctx, e.RunNamespace())
}

// prepareRuns gives a namespace what pipelines need that run there.
func (s *Site) prepareRuns(ctx context.Context, namespace string) error {
	if err := s.applySecrets(ctx, namespace); err != nil {
		return err
	}
	return s.applyPipelines(ctx, namespace)
}

func (s *Site) applySecrets(ctx context.Context, namespace string) error {
	password, err := s.Gitea.Password()
	if err != nil {
		return err
	}
	for name, values := range map[string]map[string]string{
		"lockstep-git":      {"username": s.Gitea.User, "password": password},
		"lockstep-registry": {"config.json": "{}"}, // the registry of the test cluster asks for nothing
		"lockstep-webhook":  {"secret": random()},
	} {
		if err := s.secret(ctx, namespace, name, values); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) applyPipelines(ctx context.Context, namespace string) error {
	files := []string{s.resolved()}
	for _, pattern := range []string{"pipelines/application/*.yaml", "pipelines/environment/*.yaml", "pipelines/triggers/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(s.Root, pattern))
		if err != nil || len(found) == 0 {
			return fmt.Errorf("nothing in %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		all.Write(text)
		all.WriteString("\n---\n")
	}
	return s.apply(ctx, namespace, all.String())
}

// awaitListeners waits until the event listeners answer.
func (s *Site) awaitListeners(ctx context.Context, namespaces []string) error {
	for _, namespace := range namespaces {
		if err := Until(ctx, "the event listener in "+namespace, func(ctx context.Context) (bool, error) {
			_, err := s.ask(ctx, namespace, "el-lockstep", "live")
			return err == nil, err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) createRepositories(ctx context.Context) error {
	if err := s.Gitea.organisation(ctx, s.Owner); err != nil {
		return err
	}
	for _, name := range s.repositories() {
		if err := s.Gitea.repository(ctx, s.Owner, name); err != nil {
			return err
		}
	}
	return nil
}

// WebhookURL is where a repository's pushes go, seen from the Git host.
func (s *Site) WebhookURL(ctx context.Context, namespace string) (string, error) {
	ip, port, err := s.service(ctx, namespace, "el-lockstep")
	return fmt.Sprintf("http://%s:%d", ip, port), err
}

func (s *Site) connectWebhooks(ctx context.Context) error {
	for repository, namespace := range s.webhooks() {
		if err := s.connect(ctx, repository, namespace); err != nil {
			return err
		}
	}
	return nil
}

// connect lets a namespace hear of the pushes to a repository.
func (s *Site) connect(ctx context.Context, repository, namespace string) error {
	url, err := s.WebhookURL(ctx, namespace)
	if err != nil {
		return err
	}
	secret, err := s.SecretValue(ctx, namespace, "lockstep-webhook", "secret")
	if err != nil {
		return err
	}
	return s.Gitea.webhook(ctx, s.Owner, repository, url, secret)
}
