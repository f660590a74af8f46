package provision

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

const (
	pipelineName = "environment"
	listenerName = "lockstep"
	webhookName  = "lockstep-webhook" // account, role and secret of the listener
)

// copied are the objects that the runs of every environment need, besides the Tasks
// of the Pipeline.
var copied = []struct {
	kind cluster.Kind
	name string
}{
	{kindServiceAccount, webhookName},
	{kindRole, webhookName},
	{kindRoleBinding, webhookName},
	{kindBinding, "push"},
	{kindBinding, "push-gitlab"},
	{kindBinding, "push-bitbucket"},
	{kindTemplate, pipelineName},
	{kindPipeline, pipelineName},
	{kindListener, listenerName},
}

// copies brings them as they are where reconcile runs: who installs a newer version
// there has installed it everywhere.
func (e *ensuring) copies(ctx context.Context) error {
	for _, c := range copied {
		if err := e.copy(ctx, c.kind, c.name); err != nil {
			return err
		}
	}
	return nil
}

// copy brings one object; behind its Tasks, where it is a Pipeline.
func (e *ensuring) copy(ctx context.Context, kind cluster.Kind, name string) error {
	o, err := e.source(ctx, kind, name)
	if err != nil {
		return err
	}
	for _, task := range tasksOf(o) {
		if err := e.copy(ctx, kindTask, task); err != nil {
			return err
		}
	}
	return e.ensure(ctx, e.copyOf(o))
}

func (e *ensuring) source(ctx context.Context, kind cluster.Kind, name string) (*unstructured.Unstructured, error) {
	o, err := e.Client.Get(ctx, kind, e.Namespace, name)
	if err == nil && o == nil {
		err = fault.Refused("SourceMissing", fmt.Errorf("namespace %s has no %s %s to copy", e.Namespace, kind.Kind, name),
			"Apply Lockstep's Tasks, Pipelines and Triggers into that namespace, and the secrets lockstep-git and lockstep-registry.")
	}
	return o, err
}

// copyOf is an object for the namespace of the runs, without what the server wrote.
func (e *ensuring) copyOf(o *unstructured.Unstructured) *unstructured.Unstructured {
	c := &unstructured.Unstructured{Object: map[string]any{}}
	for key, value := range o.Object {
		if key != "metadata" && key != "status" {
			c.Object[key] = value
		}
	}
	c.SetName(o.GetName())
	c.SetNamespace(e.runs)
	c.SetLabels(o.GetLabels())
	subjects, _, _ := unstructured.NestedSlice(c.Object, "subjects")
	for _, subject := range subjects {
		if subject, ok := subject.(map[string]any); ok && subject["namespace"] == e.Namespace {
			subject["namespace"] = e.runs
		}
	}
	if subjects != nil {
		c.Object["subjects"] = subjects
	}
	return c
}

// tasksOf are the Tasks that an object names; only a Pipeline does.
func tasksOf(pipeline *unstructured.Unstructured) []string {
	var names []string
	for _, part := range []string{"tasks", "finally"} {
		tasks, _, _ := unstructured.NestedSlice(pipeline.Object, "spec", part)
		for _, task := range tasks {
			if task, ok := task.(map[string]any); ok {
				if name, ok, _ := unstructured.NestedString(task, "taskRef", "name"); ok {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// secrets makes those that are missing. What is there stays: an environment may have
// credentials of its own.
func (e *ensuring) secrets(ctx context.Context) error {
	for _, name := range []string{"lockstep-git", "lockstep-registry", webhookName} {
		there, err := e.read(ctx, kindSecret, name)
		if err != nil {
			return err
		}
		if there != nil {
			continue
		}
		o, err := e.secret(ctx, name)
		if err != nil {
			return err
		}
		// Created, not applied: what is applied later leaves its values alone.
		if !e.DryRun {
			if _, err := e.Client.Create(ctx, o); cluster.IsAlreadyExists(err) {
				continue // by another reconcile, at the same time
			} else if err != nil {
				return err
			}
		}
		e.note("Secret", name)
	}
	return nil
}

// read reads an object of the namespace of the runs. In a dry run that may not be
// there, or not be readable yet.
func (e *ensuring) read(ctx context.Context, kind cluster.Kind, name string) (*unstructured.Unstructured, error) {
	o, err := e.Client.Get(ctx, kind, e.runs, name)
	if e.DryRun && cluster.IsForbidden(err) {
		return nil, nil
	}
	return o, err
}

// secret is a copy or, of that for webhooks, a new one.
func (e *ensuring) secret(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	if name != webhookName {
		o, err := e.source(ctx, kindSecret, name)
		if err != nil {
			return nil, err
		}
		return e.copyOf(o), nil
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"data": map[string]any{"secret": base64.StdEncoding.EncodeToString([]byte(rand.Text()))},
	}}
	o.SetName(name)
	o.SetNamespace(e.runs)
	return o, nil
}
