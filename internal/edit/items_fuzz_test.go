package edit_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/lockstep-cd/lockstep/internal/edit"
)

// FuzzItems adds, sets and removes items of whatever the fuzzer makes of the
// lists of the tables. The tens of kind choose the edit, what is left the value.
func FuzzItems(f *testing.F) {
	for _, list := range itemLists {
		file, _, _ := unmark(list.marked)
		for kind := range uint8(25) {
			f.Add([]byte(file), "qa", list.after, "branch", "1.0", kind)
		}
	}
	for _, change := range itemChanges {
		file, _, _ := unmark(change.marked)
		for _, p := range change.pairs {
			text, _ := p.Value.(string)
			for kind := range uint8(5) {
				f.Add([]byte(file), "qa", "a", p.Key, text, 10+kind)
			}
		}
	}
	for _, file := range []string{"", "environments: [] # x\n", "environments: ~\nx: 1\n", "environments:\n- name: a", "environments:\n- {name: a,\n   branch: [x, y], # z\n   soak: 1h}\n", `{"environments": [{"name": "a", "branch": null}]}`} {
		f.Add([]byte(file), "a", "", "branch", "x, y", uint8(12))
		f.Add([]byte(file), "b", "a", "branch", "x, y", uint8(0))
	}
	f.Fuzz(func(t *testing.T, file []byte, name, after, key, value string, kind uint8) {
		p := edit.Pair{Key: key, Value: []any{value, value != "", strings.Split(value, ","), nil, []string{}}[kind%5]}
		e := []func() error{
			func() error { return onlyOneMore(file, name, after, p) },
			func() error { return onlyThePair(file, name, p) },
			func() error { return onlyOneLess(file, name) },
		}[kind/10%3]
		given := bytes.Clone(file)
		if err := e(); err != nil || !bytes.Equal(given, file) {
			t.Errorf("%q, item %q after %q, %q: %#v (%d): %v", file, name, after, key, p.Value, kind, err)
		}
	})
}

var errTextAndError = errors.New("an error and a text")

// onlyOneMore is the property of AddItem: the bytes of the file are all there,
// with lines between them, and the tree has one mapping more, which is the pairs.
func onlyOneMore(file []byte, name, after string, p edit.Pair) error {
	out, err := edit.AddItem(file, environments, after, []edit.Pair{{"name", name}, p})
	if err != nil {
		return noText(out)
	}
	before, list, err := fuzzList(file)
	if err != nil {
		return err
	}
	more := scalar("!!map", goyaml.MappingNode, "")
	more.Content = append(pairNodes("name", name), pairNodes(p.Key, p.Value)...)
	index := len(list.Content)
	if after != "" {
		index = 1 + slices.IndexFunc(list.Content, func(n *goyaml.Node) bool { return nameOf(n) == after })
	}
	first := index == 0
	list.Content = slices.Insert(list.Content, index, more)
	if prefix, suffix := common(file, out); !first && prefix+suffix < len(file) {
		return fmt.Errorf("bytes of the file are gone: %q", out)
	}
	if first && !bytes.HasPrefix(out, file) && !linesKept(file, out) {
		return fmt.Errorf("lines of the file are gone: %q", out)
	}
	return sameTrees(before, out)
}

// onlyOneLess is the property of RemoveItem: the file lost one stretch, in which
// there are comments and that item, and the tree the item.
func onlyOneLess(file []byte, name string) error {
	out, err := edit.RemoveItem(file, environments, name)
	if err != nil {
		return noText(out)
	}
	before, list, err := fuzzList(file)
	if err != nil {
		return err
	}
	index := slices.IndexFunc(list.Content, func(n *goyaml.Node) bool { return nameOf(n) == name })
	item := list.Content[index]
	list.Content = slices.Delete(list.Content, index, index+1)
	if len(list.Content) > 0 {
		prefix, suffix := common(file, out)
		if prefix+suffix < len(out) {
			return fmt.Errorf("the file has more than it had: %q", out)
		}
		if !isCut(file, out, item) {
			return fmt.Errorf("what went is not the item alone: %q", out)
		}
	}
	return sameTrees(before, out)
}

// isCut looks for the stretch that went; the same bytes at both of its ends
// leave a choice where it begins.
func isCut(file, out []byte, item *goyaml.Node) bool {
	length := len(file) - len(out)
	for at := range len(out) + 1 {
		if !bytes.Equal(file[:at], out[:at]) || !bytes.Equal(file[at+length:], out[at:]) {
			continue
		}
		roots, err := decodeAll(file[at : at+length])
		if err == nil && len(roots) == 1 && roots[0].Content[0].Kind == goyaml.SequenceNode &&
			slices.Equal(flatten(roots[0].Content[0].Content), flatten([]*goyaml.Node{item})) {
			return true
		}
	}
	return false
}

// onlyThePair is the property of SetItem: the tree has the pair and is otherwise
// as it was, and so are the lines around the item; where a value took the place
// of another, all comments are there.
func onlyThePair(file []byte, name string, p edit.Pair) error {
	out, err := edit.SetItem(file, environments, name, []edit.Pair{p})
	if err != nil {
		return noText(out)
	}
	before, list, err := fuzzList(file)
	if err != nil {
		return err
	}
	index := slices.IndexFunc(list.Content, func(n *goyaml.Node) bool { return nameOf(n) == name })
	item := list.Content[index]
	comment := setNodes(item, p)
	if !around(file, out, list, index) {
		return fmt.Errorf("bytes around the item changed: %q", out)
	}
	for _, line := range strings.Split(comment, "\n") {
		if !strings.Contains(string(out), line) {
			return fmt.Errorf("the comment %q is gone: %q", line, out)
		}
	}
	if again, err := edit.SetItem(out, environments, wanted(name, p), []edit.Pair{p}); err != nil || !bytes.Equal(again, out) {
		return fmt.Errorf("once more: %q became %q, %w", out, again, err)
	}
	return sameTrees(before, out)
}

func wanted(name string, p edit.Pair) string {
	if p.Key == "name" {
		return p.Value.(string)
	}
	return name
}

// setNodes makes the change in a mapping, and gives the comments that stay
// beside a value.
func setNodes(item *goyaml.Node, p edit.Pair) (comment string) {
	for i := 0; i+1 < len(item.Content); i += 2 {
		if item.Content[i].Value != p.Key {
			continue
		}
		if p.Value == nil {
			item.Content = slices.Delete(item.Content, i, i+2)
			return ""
		}
		if item.Content[i+1].Kind == goyaml.ScalarNode {
			comment = comments(item.Content[i], item.Content[i+1])
		}
		item.Content = slices.Replace(item.Content, i, i+2, append([]*goyaml.Node{item.Content[i]}, pairNodes(p.Key, p.Value)[1])...)
		return strings.ReplaceAll(comment, "|", "\n")
	}
	if p.Value != nil {
		item.Content = append(item.Content, pairNodes(p.Key, p.Value)...)
	}
	return ""
}

// around compares the lines above an item, and what begins with the next one.
func around(file, out []byte, list *goyaml.Node, index int) bool {
	starts := []int{0}
	for i := range file {
		if rest := string(file[i:]); strings.HasPrefix(rest, "\n") || strings.HasPrefix(rest, "\r") && !strings.HasPrefix(rest, "\r\n") {
			starts = append(starts, i+1)
		} else if strings.HasPrefix(rest, "\u0085") {
			starts = append(starts, i+2)
		} else if strings.HasPrefix(rest, "\u2028") || strings.HasPrefix(rest, "\u2029") {
			starts = append(starts, i+3)
		}
	}
	if !bytes.HasPrefix(out, file[:starts[list.Content[index].Line-1]]) {
		return false
	}
	return index+1 == len(list.Content) || list.Content[index+1].Line == list.Content[index].Line ||
		bytes.HasSuffix(out, file[starts[list.Content[index+1].Line-1]:])
}

// linesKept compares the lines but for the one with the key of an empty list.
func linesKept(file, out []byte) bool {
	lines := func(text []byte) []string {
		return strings.FieldsFunc(string(text), func(r rune) bool { return strings.ContainsRune("\n\r\u0085\u2028\u2029", r) })
	}
	now := lines(out)
	for _, line := range lines(file) {
		i := slices.Index(now, line)
		if i < 0 && !strings.ContainsAny(line, "[~nN") { // [], null
			return false
		}
		now = now[i+1:]
	}
	return true
}

func noText(out []byte) error {
	if out != nil {
		return errTextAndError
	}
	return nil
}

// fuzzList is the tree of a file and in it the list, which is made where there
// is none.
func fuzzList(file []byte) ([]*goyaml.Node, *goyaml.Node, error) {
	roots, err := decodeAll(file)
	if err != nil {
		return nil, nil, fmt.Errorf("an edit of a file that does not parse: %w", err)
	}
	if len(roots) == 0 {
		roots = []*goyaml.Node{{Kind: goyaml.DocumentNode, Content: []*goyaml.Node{scalar("!!map", goyaml.MappingNode, "")}}}
	}
	root := roots[0].Content[0]
	if root.Tag == "!!null" {
		root.Kind, root.Tag, root.Value = goyaml.MappingNode, "!!map", ""
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if list := root.Content[i+1]; root.Content[i].Value == environments {
			if list.Kind == goyaml.ScalarNode {
				list.Kind, list.Tag, list.Value = goyaml.SequenceNode, "!!seq", ""
			}
			return roots, list, nil
		}
	}
	list := scalar("!!seq", goyaml.SequenceNode, "")
	root.Content = append(root.Content, scalar("!!str", goyaml.ScalarNode, environments), list)
	return roots, list, nil
}

// nameOf looks at the node that an alias means, as the editor does.
func nameOf(item *goyaml.Node) string {
	if item.Kind == goyaml.AliasNode {
		item = item.Alias
	}
	name := child(item, "name")
	if name.Kind == goyaml.AliasNode {
		name = name.Alias
	}
	var text string
	if name.Decode(&text) != nil {
		return name.Value
	}
	return text
}

func sameTrees(wanted []*goyaml.Node, out []byte) error {
	now, err := decodeAll(out)
	if err != nil {
		return fmt.Errorf("the result does not parse: %w", err)
	}
	was, is := flatten(wanted), flatten(now)
	for i := range max(len(was), len(is)) {
		if i >= len(was) || i >= len(is) || meant(was[i]) != meant(is[i]) {
			return fmt.Errorf("node %d reads differently: %q", i, out)
		}
	}
	return nil
}

// meant is a node as it reads: True, which may stand there, is true.
func meant(n flat) flat {
	if n.tag == "!!bool" {
		n.value = strings.ToLower(n.value)
	}
	return n
}

func scalar(tag string, kind goyaml.Kind, value string) *goyaml.Node {
	return &goyaml.Node{Kind: kind, Tag: tag, Value: value}
}

// pairNodes are the nodes of a pair; none for a value that is not wanted.
func pairNodes(key string, value any) []*goyaml.Node {
	k := scalar("!!str", goyaml.ScalarNode, key)
	switch value := value.(type) {
	case string:
		return []*goyaml.Node{k, scalar("!!str", goyaml.ScalarNode, value)}
	case bool:
		return []*goyaml.Node{k, scalar("!!bool", goyaml.ScalarNode, fmt.Sprint(value))}
	case []string:
		list := scalar("!!seq", goyaml.SequenceNode, "")
		for _, item := range value {
			list.Content = append(list.Content, scalar("!!str", goyaml.ScalarNode, item))
		}
		return []*goyaml.Node{k, list}
	}
	return nil
}
