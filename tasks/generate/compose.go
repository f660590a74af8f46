package main

import (
	"fmt"
	"slices"

	"github.com/lockstep-cd/lockstep/internal/step"
)

// task is how a Task is put together: which programs run in its pod, where
// their values come from, and what the Task takes and hands on. Descriptions,
// defaults and the rest come from the contracts.
type task struct {
	name, title, about string
	tags               string
	params             []param // the Task's own, besides those that uses expose
	workspaces         []workspace
	steps              []use
}

type param struct{ name, fallback, about string }

type workspace struct {
	name, about string
	optional    bool
}

// use is one step of a Task.
type use struct {
	name       string            // of the step in the pod; empty: the program's
	program    string            // below steps/; empty: a step with an image of the user's
	expose     []string          // parameters that become the Task's, under their own name
	exposeAs   map[string]string // … under another one
	with       map[string]string // parameters with a fixed value or an expression
	fallbacks  map[string]string // another default for an exposed parameter
	workspaces map[string]string // the program's workspace → the Task's (or an expression below it)
	sees       []string          // the Task's workspaces that a path among the parameters leads into
	results    []string          // results that become the Task's, under their own name
	resultsAs  map[string]string // … under another one
	image      string
	command    []string
	env        [][2]string
	mounts     []string // the Task's workspaces that an image of the user's sees
}

// rendered is a Task with everything that the contracts add to it.
type rendered struct {
	task
	allParams []param
	results   []step.Result
	pods      []container
}

// container is a step as it stands in the pod.
type container struct {
	name, image string
	command     []string
	env         [][2]string
	workspaces  []string
	own         bool // one of our programs
	memory      string
	inner       []step.Result // its own results, which later steps read
}

func compose(t task, contracts map[string]step.Contract) (rendered, error) {
	r := rendered{task: t, allParams: slices.Clone(t.params)}
	for _, u := range t.steps {
		if u.program == "" {
			r.pods = append(r.pods, container{name: u.name, image: u.image, command: u.command, env: u.env, workspaces: u.mounts})
			continue
		}
		c, ok := contracts[u.program]
		if !ok {
			return r, fmt.Errorf("there is no program steps/%s", u.program)
		}
		if err := r.add(u, c); err != nil {
			return r, fmt.Errorf("step %s: %w", u.program, err)
		}
	}
	for _, result := range []step.Result{
		{Name: "error-reason", About: "Class of the failure in CamelCase, such as GitAuthenticationFailed. Empty on success."},
		{Name: "error-message", About: "The failure in one line of at most 300 characters. Empty on success."},
	} {
		r.results = append(r.results, result)
	}
	return r, nil
}

// add puts one of our programs into the pod.
func (r *rendered) add(u use, c step.Contract) error {
	if err := u.check(c); err != nil {
		return err
	}
	k := container{name: u.name, image: imageOf(c.Name), command: []string{"/ko-app/" + c.Name}, own: true, memory: memoryOf(c.Name)}
	if k.name == "" {
		k.name = c.Name
	}
	for _, p := range c.Params {
		if value := r.value(u, p); value != "" {
			k.env = append(k.env, [2]string{p.Env, value})
		}
	}
	for _, w := range c.Workspaces {
		target, ok := u.workspaces[w.Name]
		if !ok {
			continue
		}
		name, path := r.workspacePath(target)
		k.env = append(k.env, [2]string{w.Env, path})
		if !slices.Contains(k.workspaces, name) {
			k.workspaces = append(k.workspaces, name)
		}
	}
	for _, name := range u.sees {
		if !slices.Contains(k.workspaces, name) {
			k.workspaces = append(k.workspaces, name)
		}
	}
	if c.Credentials {
		k.env = append(k.env, [2]string{"CREDENTIALS_PATH", "$(credentials.path)"})
	}
	for _, result := range c.Results {
		r.addResult(&k, u, result)
	}
	// The root file system is read-only; Tekton's home is an emptyDir.
	k.env = append(k.env, [2]string{"TMPDIR", "/tekton/home"})
	r.pods = append(r.pods, k)
	return nil
}

// value is where the Task gets a parameter of a program from; "" leaves it to
// the program's default.
func (r *rendered) value(u use, p step.Param) string {
	if value, ok := u.with[p.Name]; ok {
		return value
	}
	name := u.exposeAs[p.Name]
	if name == "" && slices.Contains(u.expose, p.Name) {
		name = p.Name
	}
	if name == "" {
		return ""
	}
	if !slices.ContainsFunc(r.allParams, func(q param) bool { return q.name == name }) {
		q := param{name: name, fallback: p.Default, about: p.About}
		if p.Required {
			q.fallback = required
		}
		if fallback, ok := u.fallbacks[p.Name]; ok {
			q.fallback = fallback
		}
		r.allParams = append(r.allParams, q)
	}
	return "$(params." + name + ")"
}

// required marks a parameter without a default.
const required = "\x00"

// addResult hands a result on: to the Task, to later steps, or, for the failure
// results, to the Task from whichever step ran last.
func (r *rendered) addResult(k *container, u use, result step.Result) {
	name := u.resultsAs[result.Name]
	if name == "" && slices.Contains(u.results, result.Name) {
		name = result.Name
	}
	switch {
	case result.Name == "error-reason" || result.Name == "error-message":
		k.env = append(k.env, [2]string{result.Env, "$(results." + result.Name + ".path)"})
	case name != "" && len(result.Properties) > 0:
		// Tekton maps texts from step results; an object is written where the Task has it.
		k.env = append(k.env, [2]string{result.Env, "$(results." + name + ".path)"})
		r.results = append(r.results, step.Result{Name: name, Properties: result.Properties, About: result.About})
	case name != "":
		k.env = append(k.env, [2]string{result.Env, "$(step.results." + result.Name + ".path)"})
		k.inner = append(k.inner, result)
		r.results = append(r.results, step.Result{Name: name, Env: "$(steps." + k.name + ".results." + result.Name + ")", About: result.About})
	default:
		k.env = append(k.env, [2]string{result.Env, "$(step.results." + result.Name + ".path)"})
		k.inner = append(k.inner, result)
	}
}

// workspacePath splits "source/chart" into the workspace and its expression.
func (r *rendered) workspacePath(target string) (name, path string) {
	for i, c := range target {
		if c == '/' {
			return target[:i], "$(workspaces." + target[:i] + ".path)" + target[i:]
		}
	}
	return target, "$(workspaces." + target + ".path)"
}

// check finds names in a use that the program does not have, and required
// parameters that nobody gives.
func (u use) check(c step.Contract) error {
	known := map[string]bool{}
	for _, p := range c.Params {
		known[p.Name] = true
		_, fixed := u.with[p.Name]
		_, renamed := u.exposeAs[p.Name]
		if p.Required && !fixed && !renamed && !slices.Contains(u.expose, p.Name) {
			return fmt.Errorf("parameter %s is required and nobody gives it", p.Name)
		}
	}
	named := slices.Clone(u.expose)
	for _, names := range []map[string]string{u.exposeAs, u.with, u.fallbacks} {
		for name := range names {
			named = append(named, name)
		}
	}
	for _, name := range named {
		if !known[name] {
			return fmt.Errorf("it has no parameter %q", name)
		}
	}
	for name := range u.workspaces {
		if !slices.ContainsFunc(c.Workspaces, func(w step.Workspace) bool { return w.Name == name }) {
			return fmt.Errorf("it has no workspace %q", name)
		}
	}
	for _, name := range slices.Concat(u.results, keys(u.resultsAs)) {
		if !slices.ContainsFunc(c.Results, func(r step.Result) bool { return r.Name == name }) {
			return fmt.Errorf("it has no result %q", name)
		}
	}
	return nil
}

func keys(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}

func imageOf(program string) string { return "ko://github.com/lockstep-cd/lockstep/steps/" + program }

// memoryOf is what a program asks for: those with Helm and client-go start at
// about 60 MB, the others at about 15.
func memoryOf(program string) string {
	switch program {
	case "helm-apply", "verify", "record", "package-chart":
		return "128Mi"
	}
	return "48Mi"
}
