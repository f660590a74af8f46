// Package provision knows what an environment needs around its repository: the
// namespaces of its release and of its runs, the rights that reach from the second
// into the first, copies of the Tasks, Pipelines and Triggers, the secrets, and the
// webhook; and, of an application, the Trigger and the webhook. It makes them what
// they should be, as often as it is asked, and takes them away again. It deploys
// nothing.
//
// What environments.yaml says is not trusted with the cluster: a namespace that does
// not carry the environment's label is left alone, and the rights that are given are
// those of ClusterRoles that an administrator has made.
package provision

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/document"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Labels and annotations.
const (
	EnvironmentLabel      = "lockstep.dev/environment"
	applicationLabel      = "lockstep.dev/application"
	environmentsNote      = "lockstep.dev/environments"      // the repository of environments.yaml
	fileNote              = "lockstep.dev/environments-file" // its path there
	repositoryNote        = "lockstep.dev/repository"
	runNamespaceSuffix    = "-lockstep"
	environmentAccount    = "lockstep-environment"
	webhookBindingsPrefix = "lockstep-webhook-"
)

// Kinds of objects.
var (
	kindNamespace          = cluster.Kind{APIVersion: "v1", Kind: "Namespace"}
	kindSecret             = cluster.Kind{APIVersion: "v1", Kind: "Secret"}
	kindService            = cluster.Kind{APIVersion: "v1", Kind: "Service"}
	kindServiceAccount     = cluster.Kind{APIVersion: "v1", Kind: "ServiceAccount"}
	kindRole               = cluster.Kind{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"}
	kindRoleBinding        = cluster.Kind{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"}
	kindClusterRoleBinding = cluster.Kind{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"}
	kindTask               = cluster.Kind{APIVersion: "tekton.dev/v1", Kind: "Task"}
	kindPipeline           = cluster.Kind{APIVersion: "tekton.dev/v1", Kind: "Pipeline"}
	kindRun                = cluster.Kind{APIVersion: "tekton.dev/v1", Kind: "PipelineRun"}
	kindListener           = cluster.Kind{APIVersion: "triggers.tekton.dev/v1beta1", Kind: "EventListener"}
	kindTrigger            = cluster.Kind{APIVersion: "triggers.tekton.dev/v1beta1", Kind: "Trigger"}
	kindTemplate           = cluster.Kind{APIVersion: "triggers.tekton.dev/v1beta1", Kind: "TriggerTemplate"}
	kindBinding            = cluster.Kind{APIVersion: "triggers.tekton.dev/v1beta1", Kind: "TriggerBinding"}
)

// Site is the cluster and what all of its environments have in common.
type Site struct {
	Client    *cluster.Client
	Namespace string // has the Tasks, Pipelines, Triggers and secrets that each environment gets a copy of
	// Environments is the Git repository of environments.yaml; "" where it is a file of
	// this machine: then nothing follows an environment by itself.
	Environments string
	File         string // environments.yaml's path in it; "": that
	// Applications is the namespace that the pipelines of applications run in.
	Applications string
	Insecure     []string // registries over plain HTTP
	// WebhookURL is where forges send pushes. {namespace} stands for the namespace of
	// the runs, {address} for the address and port of its listener in the cluster. "":
	// webhooks are not touched.
	WebhookURL string
	Forge      forge.Kind // of the repositories; "": found out
	DryRun     bool       // only say what would change
}

// Place is one environment in the cluster.
type Place struct {
	environment.Environment
	Remote *git.Remote
	Tip    git.Ref // of its branch
}

// runs is the namespace that its pipelines run in.
func (p Place) runs() string { return p.Namespace + runNamespaceSuffix }

func (p Place) branch() string { return strings.TrimPrefix(p.Tip.Name, "refs/heads/") }

// Ensure makes everything of an environment what it should be, and returns what it
// changed, such as "Namespace acme-qa". A namespace that belongs to somebody else is a
// Refused fault NamespaceTaken; one that is going away a Retryable one. ErrUnheard where
// only the Trigger or the webhook is missing.
func (s *Site) Ensure(ctx context.Context, p Place) (changed []string, err error) {
	if err := s.checkNamespaces(ctx, p); err != nil {
		return nil, err
	}
	e := &ensuring{Site: s, runs: p.runs()}
	of, err := e.own(ctx, p)
	if err != nil {
		return e.changed, err
	}
	if err := e.copies(ctx); err != nil {
		return e.changed, err
	}
	if err := e.secrets(ctx); err != nil {
		return e.changed, err
	}
	err = e.hear(ctx, s.heardOf(p, of))
	if f := fault.Of(err); err != nil && f.Kind == fault.KindUsage { // it is looked at on schedule all the same
		slog.InfoContext(ctx, "no forge, so no webhook", "environment", p.Name, "reason", err)
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnheard, err)
	}
	return e.changed, err
}

// ErrUnheard: all of an environment is there but what lets pushes start its pipeline, such
// as while its forge is down. It can be deployed all the same.
var ErrUnheard = errors.New("pushes may start no run")

// heardOf is what starts the pipeline of an environment.
func (s *Site) heardOf(p Place, environments string) heard {
	return heard{of: "environment", name: p.Name, remote: p.Remote, values: map[string]string{
		"ENVIRONMENT": p.Name, "NAMESPACE": p.Namespace, "BRANCH": p.branch(), "CLONE_URL": p.Repository,
		"PATH": quoted(cmp.Or(p.Path, ".")), "ENVIRONMENTS": quoted(environments), "ENVIRONMENTS_FILE": quoted(s.file()),
		"INSECURE_REGISTRIES": quoted(strings.Join(s.Insecure, "\n")),
	}}
}

// checkNamespaces refuses those of others.
func (s *Site) checkNamespaces(ctx context.Context, p Place) error {
	for _, name := range []string{p.Namespace, p.runs()} {
		found, err := s.Client.Get(ctx, kindNamespace, "", name)
		if err != nil {
			return err
		}
		switch {
		case found == nil:
		case found.GetDeletionTimestamp() != nil:
			return fault.Retryable("NamespaceTerminating", fmt.Errorf("namespace %s is going away", name), "Try again when it is gone.")
		case found.GetLabels()[EnvironmentLabel] != p.Name:
			return fault.Refused("NamespaceTaken", fmt.Errorf("namespace %s is there and has no label %s=%s", name, EnvironmentLabel, p.Name),
				fmt.Sprintf("Choose another namespace in environments.yaml; or hand this one over: kubectl label namespace %s %s=%s", name, EnvironmentLabel, p.Name))
		}
	}
	return nil
}

// ensuring is an environment or an application on its way.
type ensuring struct {
	*Site
	runs    string // namespace that its pipelines run in
	changed []string
}

func (e *ensuring) ensure(ctx context.Context, o *unstructured.Unstructured) error {
	changed, err := e.Client.Ensure(ctx, o, e.DryRun)
	if changed {
		e.note(o.GetKind(), o.GetName())
	}
	return err
}

func (e *ensuring) note(kind, name string) { e.changed = append(e.changed, kind+" "+name) }

//go:embed environment.yaml
var ownObjects []byte

// own makes the objects that no other environment has. of is the repository of
// environments.yaml as they name it.
func (e *ensuring) own(ctx context.Context, p Place) (of string, err error) {
	of = e.Environments
	there, err := e.Client.Get(ctx, kindNamespace, "", p.Namespace)
	if err != nil {
		return "", err
	}
	// Of a file of this machine nobody knows whose it is; and one URL is as good as
	// another, so that none changes what the other wrote.
	if there != nil && (of == "" || e.ours(there.GetAnnotations()[environmentsNote])) {
		of = there.GetAnnotations()[environmentsNote]
	}
	objects, err := filled(ownObjects, map[string]string{
		"ENVIRONMENT": p.Name, "NAMESPACE": p.Namespace, "LOCKSTEP_NAMESPACE": e.Namespace,
		"URL": p.Repository, "ENVIRONMENTS": of,
	})
	if err != nil {
		return "", err
	}
	for _, o := range objects {
		if err := e.ensure(ctx, o); err != nil {
			return "", err
		}
	}
	return of, nil
}

// filled reads a manifest and puts values in the place of ${NAME}, after it was read:
// no value can be more than a part of a text.
func filled(manifest []byte, values map[string]string) ([]*unstructured.Unstructured, error) {
	objects, err := cluster.Parse(manifest)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, o := range objects {
		o.Object, _ = texts(o.Object, func(text string) string {
			return os.Expand(text, func(name string) string {
				value, ok := values[name]
				if !ok {
					missing = append(missing, name)
				}
				return value
			})
		}).(map[string]any)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("no value for %v", missing)
	}
	return objects, nil
}

// texts is a value with every text in it changed.
func texts(value any, change func(string) string) any {
	switch v := value.(type) {
	case string:
		return change(v)
	case map[string]any:
		for key, inner := range v {
			v[key] = texts(inner, change)
		}
	case []any:
		for i, inner := range v {
			v[i] = texts(inner, change)
		}
	}
	return value
}

func (s *Site) file() string { return cmp.Or(s.File, "environments.yaml") }

// ours reports whether a note names our environments.yaml, in whichever way its URL is
// written: a webhook's is not always the one that somebody configured.
func (s *Site) ours(note string) bool {
	return s.Environments != "" && note != "" && document.SameRepository(note) == document.SameRepository(s.Environments)
}

// Known are the environments that have namespaces by this environments.yaml, with the
// repository of each.
func (s *Site) Known(ctx context.Context) (map[string]string, error) {
	namespaces, err := s.Client.List(ctx, kindNamespace, "", EnvironmentLabel)
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	for _, n := range namespaces {
		if s.ours(n.GetAnnotations()[environmentsNote]) {
			known[n.GetLabels()[EnvironmentLabel]] = n.GetAnnotations()[repositoryNote]
		}
	}
	return known, nil
}

// Remove takes an environment out of the cluster: its webhook, its rights and its
// namespaces, with everything in them. That it is gone already is no error.
func (s *Site) Remove(ctx context.Context, name string, remote *git.Remote) (changed []string, err error) {
	namespaces, err := s.Client.List(ctx, kindNamespace, "", EnvironmentLabel+"="+name)
	if err != nil {
		return nil, err
	}
	for _, n := range namespaces {
		if !s.ours(n.GetAnnotations()[environmentsNote]) || n.GetDeletionTimestamp() != nil {
			continue
		}
		changed = append(changed, "Namespace "+n.GetName())
		if s.DryRun {
			continue
		}
		if strings.HasSuffix(n.GetName(), runNamespaceSuffix) {
			trigger, err := s.Client.Get(ctx, kindTrigger, n.GetName(), name)
			if err == nil {
				err = s.unhook(ctx, trigger, remote)
			}
			if err != nil {
				return changed, err
			}
			if err := s.Client.Delete(ctx, kindClusterRoleBinding, "", webhookBindingsPrefix+n.GetName()); err != nil {
				return changed, err
			}
		}
		if err := s.Client.Delete(ctx, kindNamespace, "", n.GetName()); err != nil {
			return changed, err
		}
	}
	return changed, nil
}
