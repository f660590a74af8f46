//go:build e2e

package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"time"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// imageName matches the images of the cases, wherever one stands: in a step, or
// in a parameter that a step takes its image from.
var imageName = regexp.MustCompile(`^(mirror\.gcr\.io|cgr\.dev|gcr\.io|ghcr\.io)/[a-z0-9./-]+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$`)

// bashImage is the one that has an entrypoint besides its shell.
var bashImage = regexp.MustCompile(`^mirror\.gcr\.io/bash(:|@|$)`)

// rewrite puts this machine's tools in the place of every image, names the runs
// that have no name, makes timeouts so many times as long, and returns the
// objects as one list with the runs in it.
func (c *cluster) rewrite(text []byte, patience int) (manifests string, runs []runName, err error) {
	var items []any
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			out, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
			return string(out), runs, err
		}
		if err != nil {
			return "", nil, err
		}
		var object map[string]any
		if err := yaml.Unmarshal(document, &object); err != nil {
			return "", nil, err
		}
		if object == nil {
			continue
		}
		if n, ok := named(object, len(runs)); ok {
			runs = append(runs, n)
		}
		items = append(items, patient(c.reimaged(object), patience))
	}
}

// named takes the namespace out of an object's metadata, and says whether it is
// a run and what it is called.
func named(object map[string]any, number int) (n runName, isRun bool) {
	metadata, _ := object["metadata"].(map[string]any)
	delete(metadata, "namespace")
	n.kind, _ = object["kind"].(string)
	if n.kind != "PipelineRun" && n.kind != "TaskRun" {
		return n, false
	}
	n.name, _ = metadata["name"].(string)
	if prefix, ok := metadata["generateName"].(string); ok && n.name == "" {
		n.name = generated(prefix, number)
		delete(metadata, "generateName")
		metadata["name"] = n.name
	}
	return n, true
}

// reimaged returns a value with every image replaced. A step that leaves it to
// the bash image what to run is told what that image runs.
func (c *cluster) reimaged(value any) any {
	switch value := value.(type) {
	case string:
		if imageName.MatchString(value) {
			return c.image
		}
	case []any:
		for i := range value {
			value[i] = c.reimaged(value[i])
		}
	case map[string]any:
		image, _ := value["image"].(string)
		if bashImage.MatchString(image) && value["command"] == nil && value["script"] == nil {
			value["command"] = []any{"docker-entrypoint.sh"}
		}
		if value["name"] == "image" && value["value"] == "ubuntu" { // a parameter that a step takes its image from
			value["value"] = c.image
		}
		for key := range value {
			value[key] = c.reimaged(value[key])
		}
	}
	return value
}

// patient returns a value with every timeout in it times as long.
func patient(value any, times int) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = patient(value[i], times)
		}
	case map[string]any:
		for key := range value {
			switch key {
			case "timeout", "timeouts":
				value[key] = longer(value[key], times)
			default:
				value[key] = patient(value[key], times)
			}
		}
	}
	return value
}

// longer returns a duration, or those of a map, times as long.
func longer(value any, times int) any {
	switch value := value.(type) {
	case string:
		if d, err := time.ParseDuration(value); err == nil {
			return (d * time.Duration(times)).String()
		}
	case map[string]any:
		for key := range value {
			value[key] = longer(value[key], times)
		}
	}
	return value
}
