package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
)

// variables are a container's, in the order in which they are defined.
type variables struct {
	names  []string
	values map[string]string
}

func (v *variables) set(name, value string) {
	if v.values == nil {
		v.values = map[string]string{}
	}
	if _, ok := v.values[name]; !ok {
		v.names = append(v.names, name)
	}
	v.values[name] = value
}

func (v *variables) list() []string {
	list := make([]string, len(v.names))
	for i, name := range v.names {
		list[i] = name + "=" + v.values[name]
	}
	return list
}

// environment is what a step defines, as the kubelet puts it together: envFrom
// first, then env in order, each value expanded with what was defined before.
func (c *Catalog) environment(s pipelinev1.Step) (*variables, error) {
	v := &variables{}
	for _, from := range s.EnvFrom {
		data, err := c.source(from)
		if err != nil {
			return nil, err
		}
		for _, key := range slices.Sorted(maps.Keys(data)) {
			v.set(from.Prefix+key, data[key])
		}
	}
	for _, e := range s.Env {
		if e.ValueFrom == nil {
			v.set(e.Name, expand(e.Value, v.values))
			continue
		}
		value, ok, err := c.valueOf(e.ValueFrom)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", e.Name, err)
		}
		if ok {
			v.set(e.Name, value)
		}
	}
	return v, nil
}

func (c *Catalog) source(from corev1.EnvFromSource) (map[string]string, error) {
	data := map[string]string{}
	switch {
	case from.ConfigMapRef != nil:
		m, ok := c.configMaps[from.ConfigMapRef.Name]
		if !ok && !isTrue(from.ConfigMapRef.Optional) {
			return nil, fmt.Errorf("there is no ConfigMap %s among the files of this run", from.ConfigMapRef.Name)
		}
		if ok {
			maps.Copy(data, m.Data)
		}
	case from.SecretRef != nil:
		s, ok := c.secrets[from.SecretRef.Name]
		if !ok && !isTrue(from.SecretRef.Optional) {
			return nil, fmt.Errorf("there is no Secret %s among the files of this run", from.SecretRef.Name)
		}
		if ok {
			for key, value := range secretData(s) {
				data[key] = string(value)
			}
		}
	}
	return data, nil
}

func (c *Catalog) valueOf(from *corev1.EnvVarSource) (value string, ok bool, err error) {
	switch {
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		if m := c.configMaps[ref.Name]; m != nil {
			value, ok = m.Data[ref.Key]
		}
		if !ok && !isTrue(ref.Optional) {
			err = fmt.Errorf("there is no key %s in a ConfigMap %s among the files of this run", ref.Key, ref.Name)
		}
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		if s := c.secrets[ref.Name]; s != nil {
			var data []byte
			data, ok = secretData(s)[ref.Key]
			value = string(data)
		}
		if !ok && !isTrue(ref.Optional) {
			err = fmt.Errorf("there is no key %s in a Secret %s among the files of this run", ref.Key, ref.Name)
		}
	}
	return value, ok, err
}

func isTrue(b *bool) bool { return b != nil && *b }

// expand replaces $(NAME) by the variable's value and $$ by $, as Kubernetes
// does in commands, arguments and values; an unknown name stays as it is. It does
// so in a parameter's value, too: a mask keeps out Tekton, not the kubelet.
// https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
func expand(text string, values map[string]string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i == len(text)-1 {
			return b.String() + text
		}
		b.WriteString(text[:i])
		text = text[i:]
		if strings.HasPrefix(text, "$$") {
			b.WriteByte('$')
			text = text[2:]
			continue
		}
		name, rest, ok := variableIn(text)
		if !ok {
			b.WriteByte('$')
			text = text[1:]
			continue
		}
		if value, known := values[name]; known {
			b.WriteString(value)
		} else {
			b.WriteString(text[:len(text)-len(rest)])
		}
		text = rest
	}
}

// variableIn returns the name in the $(NAME) that a text begins with, masked or
// not, and what follows.
func variableIn(text string) (name, rest string, ok bool) {
	name, ok = strings.CutPrefix(text, mask("$("))
	if !ok {
		name, ok = strings.CutPrefix(text, "$(")
	}
	if !ok {
		return "", text, false
	}
	return strings.Cut(name, ")")
}
