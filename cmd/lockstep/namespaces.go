package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/runner"
	"github.com/lockstep-cd/lockstep/internal/webhook"
)

// namespaces keeps the objects of each namespace as files of YAML:
// <dir>/<namespace>/<kind>-<name>.yaml. It takes the place of an API server.
type namespaces struct{ dir string }

// apply checks YAML documents and keeps each, in the place of an earlier object
// of its kind and name; it returns what it kept, as kind/name.
func (n namespaces) apply(namespace, source string, text []byte) ([]string, error) {
	if faults := validation.IsDNS1123Label(namespace); len(faults) > 0 {
		return nil, fault.Usage("InvalidArguments", fmt.Errorf("namespace %q: %s", namespace, strings.Join(faults, "; ")), "")
	}
	// Everything is checked before anything is kept.
	if _, err := runner.NewCatalog().Add(source, text); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(n.dir, namespace), 0o700); err != nil {
		return nil, err
	}
	var kept []string
	for _, document := range documents(text) {
		name, err := n.keep(namespace, document)
		if err != nil {
			return kept, fmt.Errorf("%s: %w", source, err)
		}
		if name != "" {
			kept = append(kept, name)
		}
	}
	return kept, nil
}

// keep writes one object whole; "" is a document that holds none.
func (n namespaces) keep(namespace string, document []byte) (string, error) {
	var head struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil || head.Kind == "" {
		return "", err
	}
	if faults := validation.IsDNS1123Subdomain(head.Name); len(faults) > 0 {
		return "", fault.Usage("InvalidName", fmt.Errorf("%s %q: %s", head.Kind, head.Name, strings.Join(faults, "; ")), "")
	}
	if head.Namespace != "" && head.Namespace != namespace {
		return "", fault.Usage("InvalidArguments", fmt.Errorf("%s %s is of the namespace %s, not %s", head.Kind, head.Name, head.Namespace, namespace), "")
	}
	path := filepath.Join(n.dir, namespace, strings.ToLower(head.Kind)+"-"+head.Name+".yaml")
	// Secrets may be among it.
	if err := os.WriteFile(path+".new", document, 0o600); err != nil {
		return "", err
	}
	return strings.ToLower(head.Kind) + "/" + head.Name, os.Rename(path+".new", path)
}

// documents splits a stream of YAML.
func documents(text []byte) [][]byte {
	var all [][]byte
	for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := reader.Read()
		if err != nil {
			return all // the reader fails at the end only
		}
		all = append(all, document)
	}
}

// files are those of a namespace, by name.
func (n namespaces) files(namespace string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(n.dir, namespace, "*.yaml"))
	sort.Strings(files)
	return files, err
}

func (n namespaces) list() ([]string, error) {
	entries, err := os.ReadDir(n.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// catalog is what the runs of a namespace may refer to.
func (n namespaces) catalog(namespace string) (*runner.Catalog, error) {
	files, err := n.files(namespace)
	if err != nil {
		return nil, err
	}
	c := runner.NewCatalog()
	for _, file := range files {
		if _, err := c.AddFile(file); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// listener answers webhooks with the Triggers of all namespaces.
func (n namespaces) listener() (*webhook.Listener, error) {
	names, err := n.list()
	if err != nil {
		return nil, err
	}
	var sources []webhook.Source
	secrets := webhook.Secrets{}
	for _, namespace := range names {
		files, err := n.files(namespace)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			sources = append(sources, webhook.Source{Name: file, Namespace: namespace, YAML: text})
			if err := addSecrets(secrets, namespace, text); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return webhook.New(sources, secrets)
}

// secret returns one value of a Secret of a namespace.
func (n namespaces) secret(namespace, name, key string) (string, error) {
	files, err := n.files(namespace)
	if err != nil {
		return "", err
	}
	secrets := webhook.Secrets{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if err := addSecrets(secrets, namespace, text); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
	}
	value, ok := secrets[namespace][name][key]
	if !ok {
		return "", fault.Usage("NotFound", fmt.Errorf("namespace %s has no Secret %s with the key %s", namespace, name, key), "lockstep local apply puts it there")
	}
	return string(value), nil
}

func addSecrets(secrets webhook.Secrets, namespace string, text []byte) error {
	for _, document := range documents(text) {
		var s corev1.Secret
		if err := yaml.Unmarshal(document, &s); err != nil {
			return err
		}
		if s.Kind != "Secret" || s.APIVersion != "v1" {
			continue
		}
		values := map[string][]byte{}
		for key, value := range s.Data {
			values[key] = value
		}
		for key, value := range s.StringData {
			values[key] = []byte(value)
		}
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		if secrets[namespace] == nil {
			secrets[namespace] = map[string]map[string][]byte{}
		}
		secrets[namespace][s.Name] = values
	}
	return nil
}
