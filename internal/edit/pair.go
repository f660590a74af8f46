package edit

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// Pair is a key of an item and the value that is wanted there.
type Pair struct {
	Key   string
	Value any // string, bool or []string; nil: the key is not wanted
}

// checkPairs bounds what callers may write.
func checkPairs(pairs []Pair) error {
	seen := map[string]bool{}
	for _, p := range pairs {
		if p.Key == "" || seen[p.Key] {
			return invalid("the key %.40q is empty or stands twice", p.Key)
		}
		seen[p.Key] = true
		texts := []string{p.Key}
		switch value := p.Value.(type) {
		case nil, bool:
		case string:
			texts = append(texts, value)
		case []string:
			texts = append(texts, value...)
		default:
			return invalid("%s: a %T is no value of an item", p.Key, value)
		}
		for _, text := range texts {
			if err := checkValue(text); err != nil {
				return err
			}
		}
		if name, ok := p.Value.(string); p.Key == nameKey && (!ok || name == "") {
			return invalid("an item without a name")
		}
	}
	return nil
}

func wantedName(pairs []Pair) string {
	for _, p := range pairs {
		if name, ok := p.Value.(string); ok && p.Key == nameKey {
			return name
		}
	}
	return ""
}

// holds reports whether an item is exactly the pairs.
func holds(item yaml.Node, pairs []Pair) bool {
	now := item.Pairs()
	if item.Kind() != yaml.Mapping || item.Type() != "!!map" || item.Anchor() != "" || len(now) != len(pairs) {
		return false
	}
	for i, p := range pairs {
		if !reads(now[i].Key, p.Key) || !reads(now[i].Value, p.Value) {
			return false
		}
	}
	return true
}

// reads reports whether a node is what value says, in whatever style.
func reads(n yaml.Node, value any) bool {
	if n.Kind() != yaml.Scalar && n.Kind() != yaml.Sequence || n.Anchor() != "" {
		return false
	}
	switch value := value.(type) {
	case string:
		return n.Kind() == yaml.Scalar && n.Type() == "!!str" && n.Value() == value
	case bool:
		return n.Kind() == yaml.Scalar && n.Type() == "!!bool" && strings.EqualFold(n.Value(), strconv.FormatBool(value))
	case []string:
		items := n.Items()
		for i, item := range items {
			if i >= len(value) || !reads(item, value[i]) {
				return false
			}
		}
		return n.Kind() == yaml.Sequence && n.Type() == "!!seq" && len(items) == len(value)
	}
	return false
}

// blockItem is an item in lines, behind lead with its dash.
func blockItem(lead string, pairs []Pair, form yaml.Form, line string) string {
	var item strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&item, "%s%s%s", lead, writePair(p, form), line)
		lead = strings.Repeat(" ", len(lead))
	}
	return item.String()
}

// flowItem is an item between braces on one line, with a blank inside them where
// the neighbour, whose text behind its brace is given, has one.
func flowItem(neighbour []byte, pairs []Pair, form yaml.Form) string {
	written := make([]string, len(pairs))
	for i, p := range pairs {
		written[i] = writePair(p, form)
	}
	pad := padding(neighbour)
	return "{" + pad + strings.Join(written, ", ") + pad + "}"
}

func padding(inside []byte) string {
	if bytes.HasPrefix(inside, []byte(" ")) {
		return " "
	}
	return ""
}

func writePair(p Pair, form yaml.Form) string {
	return quoteLike(form, p.Key) + ": " + token(p.Value, form)
}

// token is a value on one line; texts in it have the quotes of form, or those
// they need.
func token(value any, form yaml.Form) string {
	switch value := value.(type) {
	case bool:
		return strconv.FormatBool(value)
	case []string:
		written := make([]string, len(value))
		for i, text := range value {
			written[i] = quoteLike(form, text)
		}
		return "[" + strings.Join(written, ", ") + "]"
	case string:
		return quoteLike(form, value)
	}
	return ""
}

func quoteLike(form yaml.Form, text string) string {
	switch form {
	case yaml.DoubleQuoted:
		return yaml.DoubleQuote(text)
	case yaml.SingleQuoted:
		if quoted, ok := yaml.SingleQuote(text); ok {
			return quoted
		}
		return yaml.DoubleQuote(text)
	}
	return plain(text)
}
