package document

import (
	"fmt"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// Text reads a text by parse. Numbers and dates are not taken for one: what
// YAML makes of 1e3 or 2026-01-01 is not what was written. Where parse refuses,
// into holds what it returned.
func Text[T any](into *T, parse func(string) (T, error)) func(yaml.Node) error {
	return func(n yaml.Node) (err error) {
		if n = n.Target(); n.Kind() != yaml.Scalar || n.Type() != "!!str" {
			return fmt.Errorf("a text belongs here, not %s", describe(n))
		}
		*into, err = parse(n.Value())
		return err
	}
}

// Bool reads true or false, and none of YAML's other words for them.
func Bool(into *bool) func(yaml.Node) error {
	return func(n yaml.Node) error {
		if n = n.Target(); n.Kind() != yaml.Scalar || n.Type() != "!!bool" {
			return fmt.Errorf("true or false belongs here, not %s", describe(n))
		}
		*into = strings.EqualFold(n.Value(), "true")
		if !*into && !strings.EqualFold(n.Value(), "false") { // !!bool yes
			return fmt.Errorf("true or false belongs here, not %s", Quoted(n.Value()))
		}
		return nil
	}
}

// describe says what stands somewhere instead of what belongs there. It does
// not repeat it: it may be a URL with a password in the wrong place.
func describe(n yaml.Node) string {
	switch n = n.Target(); n.Type() {
	case "!!str":
		return "a text"
	case "!!int", "!!float":
		return "a number; a text of digits stands in quotes"
	case "!!bool":
		return "true or false; a text that reads so stands in quotes"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a date; a text that reads so stands in quotes"
	case "!!seq":
		return "a list"
	case "!!map":
		return "a mapping"
	}
	return "a value with a tag of its own"
}

// Quoted shows a value in a message: cut, and not at all where it may be a URL
// with a password that stands in the wrong place.
func Quoted(text string) string {
	if strings.Contains(text, "@") {
		return "(a text with @ in it)"
	}
	return fmt.Sprintf("%.60q", text)
}
