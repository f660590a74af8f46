package edit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// AddDependency adds an entry at the end of `dependencies:`, which is made where
// there is none, in lines that are indented as those of the entry before. No
// other byte changes; where that cannot be had, as in a list between brackets,
// it refuses.
//
// ErrDuplicate: Helm knows another entry by that name.
func AddDependency(file []byte, d Dependency) ([]byte, error) {
	if err := CheckVersion(d.Version); err != nil {
		return nil, err
	}
	for _, value := range []string{d.Name, d.Repository, d.Alias} {
		if err := checkValue(value); err != nil {
			return nil, err
		}
	}
	if d.Name == "" {
		return nil, invalid("a dependency without a name")
	}
	_, dependencies, err := parseDependencies(file)
	if err != nil {
		return nil, err
	}
	if err := checkUnique(append(dependencies, d)); err != nil {
		return nil, err
	}
	return addItem(file, field{"name", d.Name}, field{"version", d.Version}, field{"repository", d.Repository}, field{"alias", d.Alias})
}

// RemoveDependency takes the one entry out of `dependencies:` that sel chooses,
// with its lines and no other byte, and gives its version. The errors are those
// of SetDependency.
func RemoveDependency(file []byte, sel Selector) (out []byte, removed Dependency, err error) {
	_, dependencies, err := parseDependencies(file)
	if err != nil {
		return nil, Dependency{}, err
	}
	removed, index, err := Choose(dependencies, sel)
	if err != nil {
		return nil, Dependency{}, err
	}
	out, err = removeItem(file, index)
	return out, removed, err
}

const byHandList = "Change the list by hand once."

// field is a line of an entry.
type field struct{ key, value string }

// addItem adds an entry to the list of a chart or a lock. Empty fields are left
// out.
func addItem(file []byte, fields ...field) ([]byte, error) {
	before, err := yaml.Parse(file)
	if err != nil {
		return nil, err
	}
	out, err := withItem(openList(before, listKey), fields)
	if err == nil {
		err = sameButList(before, listKey, out, func(old, now []yaml.Node) (kept, left []yaml.Node) { return old, now[:max(len(now)-1, 0)] })
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// openList takes the brackets of an empty list away, so that lines can follow.
func openList(t *yaml.Text, key string) []byte {
	if len(t.Documents()) > 0 {
		if span, ok := t.EmptyList(t.Documents()[0].Get(key)); ok {
			return slices.Concat(bytes.TrimRight(t.Source()[:span.Start], " "), t.Source()[span.End:])
		}
	}
	return t.Source()
}

func withItem(file []byte, fields []field) ([]byte, error) {
	t, dependencies, err := readDependencies(file)
	if err != nil {
		return nil, err
	}
	at, indent, before, err := placeFor(t, dependencies)
	if err != nil {
		return nil, err
	}
	line := t.LineBreak()
	var item strings.Builder
	item.WriteString(before)
	mark := "- "
	for _, f := range fields {
		if f.value == "" {
			continue
		}
		fmt.Fprintf(&item, "%s%s%s: %s%s", strings.Repeat(" ", indent), mark, f.key, plain(f.value), line)
		mark = "  "
	}
	return insertLines(t, at, item.String()), nil
}

// insertLines puts whole lines where a line starts, or behind a last one that
// does not end yet.
func insertLines(t *yaml.Text, at int, lines string) []byte {
	file := t.Source()
	if at > 0 && !endsLine(file[:at]) {
		lines = t.LineBreak() + lines
	}
	return slices.Concat(file[:at], []byte(lines), file[at:])
}

// plain is a text as YAML reads it back, in quotes where it needs them.
func plain(text string) string {
	if yaml.ReadsAsString(text) {
		return text
	}
	return yaml.DoubleQuote(text)
}

// placeFor is where the lines of a further entry go, how far they are indented,
// and what has to stand in front of the first one.
func placeFor(t *yaml.Text, dependencies []Dependency) (at, indent int, before string, err error) {
	if n := len(dependencies); n > 0 {
		last := dependencies[n-1].node
		lines, err := t.ItemLines(last)
		if err != nil {
			return 0, 0, "", fault.Refused(NotEditable, err, byHandList)
		}
		return lines.End, lines.Indent, "", nil
	}
	at, before, err = placeForFirst(t, listKey)
	return at, 0, before, err
}

// placeForFirst is where the lines of the only entry of the list at key go, and
// what has to stand in front of them.
func placeForFirst(t *yaml.Text, key string) (at int, before string, err error) {
	end := len(t.Source())
	if len(t.Documents()) == 0 {
		return end, plain(key) + ":" + t.LineBreak(), nil
	}
	root := t.Documents()[0]
	list := root.Get(key)
	switch {
	case !list.Exists() && len(t.Documents()) > 1, list.Exists() && (list.Kind() != yaml.Scalar || list.Value() != ""), root.Flow():
		return 0, "", notEditable(list.Errorf("the list of %s has no lines of its own", key), fmt.Sprintf(`Write "%s:" alone on its line once.`, key))
	case !list.Exists():
		return end, plain(key) + ":" + t.LineBreak(), nil
	}
	return t.LinesAfter(list), "", nil
}

func endsLine(text []byte) bool {
	return bytes.HasSuffix(text, []byte("\n")) || bytes.HasSuffix(text, []byte("\r"))
}

// removeItem takes an entry out of the list of a chart or a lock.
func removeItem(file []byte, index int) ([]byte, error) {
	t, dependencies, err := readDependencies(file)
	if err != nil {
		return nil, err
	}
	lines, err := t.ItemLines(dependencies[index].node)
	if err != nil {
		return nil, fault.Refused(NotEditable, err, byHandList)
	}
	if name := needed(t, dependencies[index].node); name != "" {
		return nil, notEditable(dependencies[index].node.Errorf("the entry has the anchor &%s, and an alias refers to it", name), byHandList)
	}
	out := slices.Concat(file[:lines.Start], file[lines.End:])
	if err := sameButList(t, listKey, out, func(old, now []yaml.Node) (kept, left []yaml.Node) {
		return slices.Delete(slices.Clone(old), index, index+1), now
	}); err != nil {
		return nil, err
	}
	return out, nil
}

// needed is an anchor inside a node that some alias of the text goes by; "" where
// there is none. Without it, the alias would mean another anchor of that name, or
// nothing.
func needed(t *yaml.Text, n yaml.Node) string {
	aliases := map[string]bool{}
	for _, document := range t.Documents() {
		document.Walk(func(n yaml.Node) {
			if n.Kind() == yaml.Alias {
				aliases[n.Value()] = true
			}
		})
	}
	found := ""
	n.Walk(func(n yaml.Node) {
		if aliases[n.Anchor()] {
			found = n.Anchor()
		}
	})
	return found
}

// sameButList reads the result again: what kept gives of the list at key before
// and after is the same, and so is all else.
func sameButList(before *yaml.Text, key string, out []byte, kept func(old, now []yaml.Node) (o, n []yaml.Node)) error {
	refused := func(why string) error {
		return fault.Refused(NotEditable, yaml.Node{}.Errorf("cannot change the list of %s here: %s", key, why), byHandList)
	}
	after, err := yaml.Parse(out)
	if err != nil {
		return refused(fmt.Sprintf("the file would no longer parse (%v)", err))
	}
	var root yaml.Node // nothing, of an empty file
	var rest []yaml.Node
	if documents := before.Documents(); len(documents) > 0 {
		root, rest = documents[0], documents[1:]
	}
	if len(after.Documents()) != 1+len(rest) {
		return refused("the file would have other documents")
	}
	now := after.Documents()[0]
	if len(now.Get(key).Items()) == 0 && len(root.Get(key).Items()) == 0 {
		return refused("it would have no entry")
	}
	c := comparison{}
	o, n := kept(root.Get(key).Items(), now.Get(key).Items())
	if !c.sameItems(o, n) || !c.samePairs(beside(root, key), beside(now, key)) || !c.sameItems(rest, after.Documents()[1:]) {
		return refused(fmt.Sprintf("line %d would read differently", c.line))
	}
	return nil
}

const listKey = "dependencies"

// beside is what a document has but the list at key.
func beside(document yaml.Node, key string) []yaml.Pair {
	return slices.DeleteFunc(document.Pairs(), func(p yaml.Pair) bool { return p.Key.Text() == key })
}
