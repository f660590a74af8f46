package edit

import (
	"fmt"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// verify reads the result of an edit again and compares: the one node has the
// new value and everything else reads as before. It stands behind every edit,
// since a wrong byte in an environment's file deploys something else.
func verify(before *yaml.Text, target yaml.Node, value string, out []byte) error {
	after, err := yaml.Parse(out)
	if err != nil {
		return unfaithful(target, fmt.Sprintf("the file would no longer parse (%v)", err))
	}
	if len(before.Documents()) != len(after.Documents()) {
		return unfaithful(target, "the file would have other documents")
	}
	c := comparison{target: target, value: value}
	for i, document := range before.Documents() {
		if !c.same(document, after.Documents()[i]) {
			return unfaithful(target, fmt.Sprintf("line %d would read differently", c.line))
		}
	}
	return nil
}

func unfaithful(target yaml.Node, why string) error {
	return fault.Refused(NotEditable, target.Errorf("cannot write the value here: %s", why), byHand)
}

type comparison struct {
	target yaml.Node
	value  string
	line   int // where the difference is
}

func (c *comparison) same(before, after yaml.Node) bool {
	c.line = before.Line()
	if before == c.target {
		return after.Kind() == yaml.Scalar && after.Value() == c.value && after.Anchor() == before.Anchor()
	}
	if before.Kind() != after.Kind() || before.Anchor() != after.Anchor() {
		return false
	}
	switch before.Kind() {
	case yaml.Mapping:
		return c.samePairs(before.Pairs(), after.Pairs())
	case yaml.Sequence:
		return c.sameItems(before.Items(), after.Items())
	case yaml.Alias:
		return before.Value() == after.Value()
	}
	return before.Value() == after.Value() && before.Type() == after.Type()
}

func (c *comparison) sameItems(before, after []yaml.Node) bool {
	if len(before) != len(after) {
		return false
	}
	for i := range before {
		if !c.same(before[i], after[i]) {
			return false
		}
	}
	return true
}

func (c *comparison) samePairs(before, after []yaml.Pair) bool {
	if len(before) != len(after) {
		return false
	}
	for i := range before {
		if !c.same(before[i].Key, after[i].Key) || !c.same(before[i].Value, after[i].Value) {
			return false
		}
	}
	return true
}
