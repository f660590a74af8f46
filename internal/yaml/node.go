package yaml

import (
	"fmt"
	"iter"

	"go.yaml.in/yaml/v3"
)

// Kind tells what a Node is.
type Kind int

// The kinds of nodes.
const (
	Scalar Kind = iota + 1
	Mapping
	Sequence
	Alias
)

func (k Kind) String() string {
	return [...]string{"nothing", "scalar", "mapping", "sequence", "alias"}[k]
}

// Node is one value of a text. The zero Node stands for "not there".
type Node struct{ raw *yaml.Node }

// Pair is one key of a mapping and its value.
type Pair struct{ Key, Value Node }

// Exists reports whether the node is there.
func (n Node) Exists() bool { return n.raw != nil }

// Kind is 0 for a node that is not there.
func (n Node) Kind() Kind {
	if n.raw == nil {
		return 0
	}
	switch n.raw.Kind {
	case yaml.ScalarNode:
		return Scalar
	case yaml.MappingNode:
		return Mapping
	case yaml.SequenceNode:
		return Sequence
	case yaml.AliasNode:
		return Alias
	}
	return 0
}

// Value is a scalar's text without quotes and escapes, or an alias's name.
func (n Node) Value() string { return n.raw.Value }

// Type is the short tag of the value: "!!str", "!!int", "!!null", "!!map" …
func (n Node) Type() string { return n.raw.ShortTag() }

// Anchor is the name under which aliases refer to the node, or "".
func (n Node) Anchor() string { return n.raw.Anchor }

// Line and Column, both from 1, are where the node starts with its anchor and
// tag; columns count characters.
func (n Node) Line() int   { return n.raw.Line }
func (n Node) Column() int { return n.raw.Column }

// Plain reports whether a scalar stands without quotes and not as a block.
func (n Node) Plain() bool { return n.raw.Style&^yaml.TaggedStyle == 0 }

// Tagged reports whether the writer gave the node a tag of its own.
func (n Node) Tagged() bool { return n.raw.Style&yaml.TaggedStyle != 0 }

// Target is what an alias refers to; any other node is its own target.
func (n Node) Target() Node {
	if n.Kind() == Alias {
		return Node{n.raw.Alias}
	}
	return n
}

// Items are the elements of a sequence, or of what an alias says is one.
func (n Node) Items() []Node {
	n = n.Target()
	if n.Kind() != Sequence {
		return nil
	}
	items := make([]Node, len(n.raw.Content))
	for i, item := range n.raw.Content {
		items[i] = Node{item}
	}
	return items
}

// Pairs are the keys and values of a mapping in their order, merge keys ("<<")
// as they stand.
func (n Node) Pairs() []Pair {
	n = n.Target()
	if n.Kind() != Mapping {
		return nil
	}
	pairs := make([]Pair, 0, len(n.raw.Content)/2)
	for pair := range n.pairs() {
		pairs = append(pairs, pair)
	}
	return pairs
}

// pairs is Pairs without a list: a look into each entry of a long one makes many.
func (n Node) pairs() iter.Seq[Pair] {
	return func(yield func(Pair) bool) {
		n := n.Target()
		if n.Kind() != Mapping {
			return
		}
		for i := 0; i+1 < len(n.raw.Content); i += 2 {
			if !yield(Pair{Node{n.raw.Content[i]}, Node{n.raw.Content[i+1]}}) {
				return
			}
		}
	}
}

// Get is the value of key that stands in the mapping itself. It does not look
// into merged mappings: Merges gives them.
func (n Node) Get(key string) Node {
	for pair := range n.pairs() {
		if k := pair.Key.Target(); k.Kind() == Scalar && k.Value() == key && !pair.Key.IsMerge() {
			return pair.Value
		}
	}
	return Node{}
}

// Merges are the mappings that the node's merge keys ("<<") name.
func (n Node) Merges() []Node {
	var merges []Node
	for pair := range n.pairs() {
		if !pair.Key.IsMerge() {
			continue
		}
		if items := pair.Value.Items(); items != nil {
			merges = append(merges, items...)
		} else {
			merges = append(merges, pair.Value)
		}
	}
	return merges
}

// IsMerge reports whether the node is a merge key.
func (n Node) IsMerge() bool { return n.Kind() == Scalar && n.raw.ShortTag() == "!!merge" }

// Errorf is an error that stands at the node.
func (n Node) Errorf(format string, args ...any) *Error {
	e := &Error{Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	if n.Exists() {
		e.Line, e.Column = n.Line(), n.Column()
	}
	return e
}

// check refuses what the parser lets through: depth, and duplicate keys, of
// which some readers take the first and others the last.
func check(n Node, depth int) error {
	if depth > MaxDepth {
		return n.Errorf("more than %d levels deep", MaxDepth)
	}
	if n.Kind() == Mapping {
		if err := checkKeys(n); err != nil {
			return err
		}
	}
	for _, child := range n.raw.Content {
		if err := check(Node{child}, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func checkKeys(n Node) error {
	type name struct{ kind, text string }
	seen := map[name]Node{}
	for pair := range n.pairs() {
		key := pair.Key.Target()
		if key.Kind() != Scalar || key.IsMerge() {
			continue
		}
		id := name{key.Type(), key.Value()}
		if first, twice := seen[id]; twice {
			return pair.Key.Errorf("key %q appears twice in one mapping; it stands at %d:%d already",
				key.Value(), first.Line(), first.Column())
		}
		seen[id] = pair.Key
	}
	return nil
}
