package edit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// SetValue writes value at path and gives the file's new text and the value
// that stood there. A value equal to the old one gives the text unchanged.
//
// A path is written as yq writes it: `.image.tag`, `.containers[0].image`,
// `.metadata.annotations["example.com/version"]`, and `.releases[name=web].version`
// for the one item of a list whose key has that value. In a file of several
// documents the path must exist in exactly one of them.
//
// A number or Boolean is replaced by one where value prints the same when it
// is read back ("3", "0.5"); everything else is a string, in quotes where YAML
// needs them. ErrNotFound: nothing stands at path. ErrAmbiguous: several do.
func SetValue(file []byte, path, value string) (out []byte, previous string, err error) {
	if err := checkValue(value); err != nil {
		return nil, "", err
	}
	t, node, err := find(file, path)
	if err != nil {
		return nil, "", err
	}
	out, err = replace(t, node, value, scalarLike)
	if err != nil {
		return nil, "", err
	}
	return out, node.Value(), nil
}

// Value reads the single value at path; SetValue says how paths are written.
func Value(file []byte, path string) (string, error) {
	_, node, err := find(file, path)
	if err != nil {
		return "", err
	}
	if node = node.Target(); node.Kind() != yaml.Scalar {
		return "", checkEditable(node)
	}
	return node.Value(), nil
}

func find(file []byte, path string) (*yaml.Text, yaml.Node, error) {
	steps, err := parsePath(path)
	if err != nil {
		return nil, yaml.Node{}, err
	}
	t, err := yaml.Parse(file)
	if err != nil {
		return nil, yaml.Node{}, err
	}
	var found []yaml.Node
	for _, document := range t.Documents() {
		nodes, err := walk(document, steps)
		if err != nil {
			return nil, yaml.Node{}, err
		}
		found = append(found, nodes...)
	}
	switch len(found) {
	case 0:
		return nil, yaml.Node{}, refuse(NotFound, ErrNotFound, yaml.Node{}.Errorf("nothing stands at %s", path),
			"Check the path, or add the key by hand once.")
	case 1:
		return t, found[0], nil
	}
	return nil, yaml.Node{}, refuse(Ambiguous, ErrAmbiguous,
		found[1].Errorf("%s stands in several documents, first at %d:%d", path, found[0].Line(), found[0].Column()),
		"Name a path that exists once.")
}

// step is one part of a path: a key, an index, or key and value of an item.
type step struct {
	key, value string
	index      int
	kind       stepKind
}

type stepKind int

const (
	byKey stepKind = iota
	byIndex
	byItem
)

func walk(node yaml.Node, steps []step) ([]yaml.Node, error) {
	for _, s := range steps {
		switch s.kind {
		case byKey:
			node = node.Get(s.key)
		case byIndex:
			items := node.Items()
			if s.index >= len(items) {
				return nil, nil
			}
			node = items[s.index]
		case byItem:
			item, err := s.item(node.Items())
			if err != nil {
				return nil, err
			}
			node = item
		}
		if !node.Exists() {
			return nil, nil
		}
	}
	return []yaml.Node{node}, nil
}

func (s step) item(items []yaml.Node) (yaml.Node, error) {
	var found yaml.Node
	for _, item := range items {
		field := item.Get(s.key)
		if !field.Exists() || field.Text() != s.value {
			continue
		}
		if found.Exists() {
			return yaml.Node{}, refuse(Ambiguous, ErrAmbiguous,
				item.Errorf("%s=%s stands twice in the list, first at %d:%d", s.key, s.value, found.Line(), found.Column()), "")
		}
		found = item
	}
	return found, nil
}

const pathHint = `Write it as .image.tag, .list[0].tag, .list[name=web].tag or .annotations["a.b/c"].`

func parsePath(path string) ([]step, error) {
	var steps []step
	for rest := path; rest != ""; {
		s, after, err := nextStep(rest)
		if err != nil {
			return nil, fault.Usage(InvalidValue, fmt.Errorf("path %q: %w", path, err), pathHint)
		}
		steps, rest = append(steps, s), after
	}
	if len(steps) == 0 {
		return nil, fault.Usage(InvalidValue, fmt.Errorf("the path is empty"), pathHint)
	}
	return steps, nil
}

func nextStep(rest string) (step, string, error) {
	dot := strings.HasPrefix(rest, ".")
	rest = strings.TrimPrefix(rest, ".")
	switch {
	case strings.HasPrefix(rest, "["):
		return bracketStep(rest[1:])
	case !dot:
		return step{}, "", fmt.Errorf("expected . or [ before %q", rest)
	case strings.HasPrefix(rest, `"`):
		key, after, err := quotedKey(rest)
		return step{key: key}, after, err
	}
	end := strings.IndexAny(rest, ".[")
	if end < 0 {
		end = len(rest)
	}
	if end == 0 {
		return step{}, "", fmt.Errorf("a key is missing before %q", rest)
	}
	return step{key: rest[:end]}, rest[end:], nil
}

func bracketStep(rest string) (step, string, error) {
	if strings.HasPrefix(rest, `"`) {
		key, after, err := quotedKey(rest)
		if err == nil && !strings.HasPrefix(after, "]") {
			err = fmt.Errorf("] is missing after %q", key)
		}
		return step{key: key}, strings.TrimPrefix(after, "]"), err
	}
	if key, value, ok := strings.Cut(rest, `="`); ok && key != "" && !strings.ContainsAny(key, `]"`) {
		value, after, err := quotedKey(`"` + value)
		if err == nil && !strings.HasPrefix(after, "]") {
			err = fmt.Errorf("] is missing after %q", value)
		}
		return step{kind: byItem, key: key, value: value}, strings.TrimPrefix(after, "]"), err
	}
	inside, after, closed := strings.Cut(rest, "]")
	if !closed {
		return step{}, "", fmt.Errorf("] is missing after %q", rest)
	}
	if key, value, ok := strings.Cut(inside, "="); ok && key != "" {
		return step{kind: byItem, key: key, value: value}, after, nil
	}
	index, err := strconv.ParseUint(inside, 10, 31)
	if err != nil {
		return step{}, "", fmt.Errorf("%q is neither an index nor name=value", inside)
	}
	return step{kind: byIndex, index: int(index)}, after, nil
}

func quotedKey(rest string) (key, after string, err error) {
	prefix, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "", "", fmt.Errorf("a quote is not closed in %q", rest)
	}
	key, err = strconv.Unquote(prefix)
	return key, rest[len(prefix):], err
}
