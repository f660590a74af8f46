package edit

import (
	"strings"

	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// itemList is a list of mappings with names, and the text that it is in.
type itemList struct {
	text  *yaml.Text
	key   string
	node  yaml.Node // not there, null or a sequence
	items []yaml.Node
	names map[string]int // the place of each in items
}

// readList looks into the first document only, as sameButList does.
//
// The items must have names, each its own: else nobody knows which one is meant.
func readList(file []byte, key string) (*itemList, error) {
	t, err := yaml.Parse(file)
	if err != nil {
		return nil, err
	}
	l := &itemList{text: t, key: key, names: map[string]int{}}
	if len(t.Documents()) == 0 {
		return l, nil
	}
	root := t.Documents()[0]
	if empty := root.Kind() == yaml.Scalar && root.Type() == "!!null" && !root.Tagged() && root.Anchor() == ""; !empty && root.Kind() != yaml.Mapping {
		return nil, notEditable(root.Errorf("the file is a %s, not a mapping", root.Kind()), byHandList)
	}
	l.node = root.Get(key)
	switch {
	case !l.node.Exists(), l.node.Kind() == yaml.Scalar && l.node.Type() == "!!null":
		return l, nil
	case l.node.Kind() == yaml.Alias:
		return nil, notEditable(l.node.Errorf("%s is the alias *%s", key, l.node.Value()), byHandList)
	case l.node.Kind() != yaml.Sequence:
		return nil, notEditable(l.node.Errorf("%s is a %s, not a list", key, l.node.Kind()), byHandList)
	}
	for i, item := range l.node.Items() {
		name := item.Get(nameKey).Text()
		if name == "" {
			return nil, notEditable(item.Errorf("item %d of %s has no name", i+1, key), byHandList)
		}
		if err := l.checkFreeAt(name, -1, item); err != nil {
			return nil, err
		}
		l.names[name] = len(l.items)
		l.items = append(l.items, item)
	}
	return l, nil
}

// checkFree refuses a name that an item but the one at index has.
func (l *itemList) checkFree(name string, index int) error { return l.checkFreeAt(name, index, l.node) }

func (l *itemList) checkFreeAt(name string, index int, at yaml.Node) error {
	i, taken := l.names[name]
	if !taken || i == index {
		return nil
	}
	return refuse(DuplicateItem, ErrDuplicate,
		at.Errorf("%s would have two items called %q, one of them at %d:%d", l.key, name, l.items[i].Line(), l.items[i].Column()),
		"Give one of them another name, or remove it.")
}

func (l *itemList) find(name string) (int, error) {
	if i, ok := l.names[name]; ok {
		return i, nil
	}
	hint := "There are none."
	if len(l.items) > 0 {
		names := make([]string, len(l.items))
		for i, item := range l.items {
			names[i] = item.Get(nameKey).Text()
		}
		hint = "The items are: " + strings.Join(names, ", ") + "."
	}
	return 0, refuse(NotFound, ErrNotFound, l.node.Errorf("no item of %s is called %q", l.key, name), hint)
}

// own finds an item whose text is its own. What it shares with others through
// anchors, aliases and merge keys is nothing to change in passing.
func (l *itemList) own(name string) (int, error) {
	index, err := l.find(name)
	if err != nil {
		return 0, err
	}
	l.items[index].Walk(func(n yaml.Node) {
		switch {
		case err != nil:
		case n.IsMerge():
			err = notEditable(n.Errorf("%s merges another mapping (<<)", name), byHandList)
		case n.Kind() == yaml.Alias:
			err = notEditable(n.Errorf("the alias *%s stands in %s", n.Value(), name), byHandList)
		case n.Anchor() != "":
			err = notEditable(n.Errorf("the anchor &%s stands in %s", n.Anchor(), name), byHandList)
		}
	})
	return index, err
}

// refused is the error of an edit that this list does not allow.
func (l *itemList) refused(why string) error {
	return notEditable(l.node.Errorf("cannot change the list of %s here: %s", l.key, why), byHandList)
}

// verified gives out where it reads as the text before but for what wanted looks
// at: the items before and after.
func (l *itemList) verified(out []byte, wanted func(old, now []yaml.Node) bool) ([]byte, error) {
	fits := false
	if err := sameButList(l.text, l.key, out, func(old, now []yaml.Node) (kept, left []yaml.Node) {
		fits = wanted(old, now)
		return nil, nil
	}); err != nil {
		return nil, err
	}
	after, err := yaml.Parse(out)
	if err != nil {
		return nil, err
	}
	node := after.Documents()[0].Get(l.key)
	anchor := "" // of the list, which a new one has not
	if l.node.Exists() {
		anchor = l.node.Anchor()
	}
	if !fits || node.Kind() != yaml.Sequence || node.Type() != "!!seq" || node.Anchor() != anchor {
		return nil, l.refused("something else would read differently")
	}
	return out, nil
}
