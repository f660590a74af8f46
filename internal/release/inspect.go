package release

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// inspector is Helm's post-renderer: it sees every rendered object before
// anything is written, refuses what Helm would silently apply twice, and
// learns which values are secret. It changes nothing.
type inspector struct {
	namespace string
	passed    bool     // rendering succeeded and was looked at
	secrets   []string // values of rendered Secrets, plain and encoded
}

// head is what tells one rendered object from another.
type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Data       map[string]string `json:"data"`
	StringData map[string]string `json:"stringData"`
}

// Run implements Helm's postrender.PostRenderer.
func (p *inspector) Run(rendered *bytes.Buffer) (*bytes.Buffer, error) {
	places := map[string]string{}
	var twice []string
	for _, document := range documents(rendered.String()) {
		var h head
		if err := yaml.Unmarshal([]byte(document.text), &h); err != nil || h.Kind == "" {
			continue // not for us to judge: Helm reads it next
		}
		if h.Kind == "Secret" {
			p.learn(h)
		}
		key := p.key(h)
		if first, ok := places[key]; ok {
			twice = append(twice, fmt.Sprintf("%s %s is rendered by %s and by %s", h.Kind, h.Metadata.Name, first, document.source))
			continue
		}
		places[key] = document.source
	}
	if len(twice) > 0 {
		return nil, fault.Refused("DuplicateObject", fmt.Errorf("%s", strings.Join(twice, "; ")),
			"let one of the charts give the object another name, for instance with an alias or fullnameOverride")
	}
	p.passed = true
	return rendered, nil
}

// key is the same for two documents that mean one object. The version of the
// API does not count: it is another way to write the same object.
func (p *inspector) key(h head) string {
	group, _, found := strings.Cut(h.APIVersion, "/")
	if !found {
		group = ""
	}
	namespace := h.Metadata.Namespace
	if namespace == "" {
		namespace = p.namespace
	}
	return strings.Join([]string{group, h.Kind, namespace, h.Metadata.Name}, "/")
}

func (p *inspector) learn(h head) {
	for _, value := range h.StringData {
		p.secrets = append(p.secrets, value, base64.StdEncoding.EncodeToString([]byte(value)))
	}
	for _, value := range h.Data {
		p.secrets = append(p.secrets, value)
		if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
			p.secrets = append(p.secrets, string(plain))
		}
	}
}

// document is one document of a rendered manifest and the template it is from.
type document struct{ source, text string }

// documents splits what Helm rendered: each begins with "---" and a comment
// that names its template.
func documents(manifest string) []document {
	var all []document
	for _, part := range regexp.MustCompile(`(?m)^---[ \t]*$`).Split(manifest, -1) {
		if strings.TrimSpace(part) == "" {
			continue
		}
		d := document{source: "a template", text: part}
		for line := range strings.Lines(part) {
			if source, ok := strings.CutPrefix(strings.TrimSpace(line), "# Source: "); ok {
				d.source = source
				break
			}
		}
		all = append(all, d)
	}
	return all
}

// normal brings values to the form they have after being stored.
func normal(values map[string]any) any {
	encoded, err := json.Marshal(values)
	if err != nil {
		return values
	}
	var decoded any
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		return values
	}
	return decoded
}

func reader(s string) io.Reader { return strings.NewReader(s) }

// lineLog logs what hooks and tests write, line by line.
type lineLog struct {
	attrs []any
	rest  []byte
}

func (l *lineLog) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		slog.Info(string(l.rest[:i]), l.attrs...)
		l.rest = l.rest[i+1:]
	}
}
