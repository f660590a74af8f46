package provision

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

const (
	commitNote = "lockstep.dev/commit"
	startLabel = "lockstep.dev/started-by"
)

// Runs are the runs of an environment that Tekton still has.
type Runs struct {
	Unfinished []string    // their names
	Ended      []time.Time // when those of the tip's commit were made that have ended, whatever came of them
}

// Runs looks for the runs of an environment. In a dry run they may not be readable yet:
// then there are none.
func (s *Site) Runs(ctx context.Context, p Place) (Runs, error) {
	list, err := s.Client.List(ctx, kindRun, p.runs(), EnvironmentLabel+"="+p.Name)
	if s.DryRun && cluster.IsForbidden(err) {
		return Runs{}, nil
	}
	if err != nil {
		return Runs{}, err
	}
	var runs Runs
	for _, run := range list {
		switch {
		case !ended(run):
			runs.Unfinished = append(runs.Unfinished, run.GetName())
		case run.GetAnnotations()[commitNote] == string(p.Tip.Hash):
			runs.Ended = append(runs.Ended, run.GetCreationTimestamp().Time)
		}
	}
	return runs, nil
}

func ended(run unstructured.Unstructured) bool {
	_, done, _ := unstructured.NestedString(run.Object, "status", "completionTime")
	return done
}

// Start starts the environment's pipeline for its tip, as a webhook would, with a new
// name: what was started under the old one may have died. The names are counted, so that
// two who start it at the same time start one run.
func (s *Site) Start(ctx context.Context, p Place) (name string, err error) {
	template, err := s.Client.Get(ctx, kindTemplate, p.runs(), pipelineName)
	if err == nil && template == nil {
		err = fault.Retryable("TemplateMissing", fmt.Errorf("%s has no TriggerTemplate %s", p.runs(), pipelineName), "")
	}
	if err != nil {
		return "", err
	}
	values := map[string]string{
		"environment": p.Name, "branch": p.branch(), "release": p.Name, "namespace": p.Namespace,
		"path": cmp.Or(p.Path, "."), "environments": s.Environments, "environments-file": s.file(), "insecure-registries": strings.Join(s.Insecure, "\n"),
	}
	if err := s.settings(ctx, p, values); err != nil {
		return "", err
	}
	values["url"], values["commit"], values["run-name"] = p.Repository, string(p.Tip.Hash), p.Name
	run, err := instance(template, values)
	if err != nil {
		return "", err
	}
	run.SetNamespace(p.runs())
	labels := run.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[startLabel] = owner
	run.SetLabels(labels)
	for n := 1; ; n++ {
		run.SetName(runName(p.Name, p.Tip.Hash, n))
		if name, err = s.Client.Create(ctx, run); !cluster.IsAlreadyExists(err) {
			return name, err
		}
		there, err := s.Client.Get(ctx, kindRun, p.runs(), run.GetName())
		if err != nil || there != nil && !ended(*there) {
			return run.GetName(), err
		}
	}
}

// longestRun is what leaves room for the names that Tekton makes of it.
const longestRun = 50

func runName(environment string, commit git.Hash, number int) string {
	name := fmt.Sprintf("%s-%s-%d", environment, commit.Short(), number)
	if len(name) > longestRun {
		name = name[len(name)-longestRun:]
	}
	return strings.TrimLeft(name, "-")
}

// settings are those of the environment's Trigger, where it has one: somebody may
// have set more there.
func (s *Site) settings(ctx context.Context, p Place, values map[string]string) error {
	trigger, err := s.Client.Get(ctx, kindTrigger, p.runs(), p.Name)
	if err != nil || trigger == nil {
		return err
	}
	bindings, _, _ := unstructured.NestedSlice(trigger.Object, "spec", "bindings")
	for _, binding := range bindings {
		binding, _ := binding.(map[string]any)
		name, _ := binding["name"].(string)
		value, ok := binding["value"].(string)
		if name != "" && ok && !strings.Contains(value, "$(") {
			values[name] = unquoted(value)
		}
	}
	return nil
}

// instance is what a TriggerTemplate makes of values.
func instance(template *unstructured.Unstructured, values map[string]string) (*unstructured.Unstructured, error) {
	resources, _, _ := unstructured.NestedSlice(template.Object, "spec", "resourcetemplates")
	params, _, _ := unstructured.NestedSlice(template.Object, "spec", "params")
	if len(resources) != 1 {
		return nil, fault.Refused("TemplateUnreadable", fmt.Errorf("TriggerTemplate %s makes %d objects, not one run", template.GetName(), len(resources)), "")
	}
	var pairs []string
	for _, param := range params {
		param, _ := param.(map[string]any)
		name, _ := param["name"].(string)
		value, ok := values[name]
		if !ok {
			if value, ok = param["default"].(string); !ok {
				return nil, fault.Refused("TemplateUnreadable", fmt.Errorf("TriggerTemplate %s wants %s, which nothing gives", template.GetName(), name), "Give it in the environment's Trigger.")
			}
		}
		pairs = append(pairs, "$(tt.params."+name+")", value)
	}
	content, ok := texts(resources[0], strings.NewReplacer(pairs...).Replace).(map[string]any)
	if !ok {
		return nil, fault.Refused("TemplateUnreadable", fmt.Errorf("TriggerTemplate %s has no object in it", template.GetName()), "")
	}
	return &unstructured.Unstructured{Object: content}, nil
}
