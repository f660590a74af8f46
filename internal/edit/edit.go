// Package edit changes single values of YAML files: text in, text out. Every
// byte that is not part of the value stays as it is, whatever the file's
// style, and an edit that cannot be made so is refused. It knows no files, no
// network and no clock.
//
// Errors start with "line:column: ", so the caller, who knows the file's name,
// wraps them as fmt.Errorf("%s:%w", name, err).
package edit

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// Sentinels for callers that branch; the errors around them say where and why.
var (
	ErrNotFound  = errors.New("not found")
	ErrAmbiguous = errors.New("ambiguous")
	ErrDuplicate = errors.New("defined twice")
)

// Reasons of the faults of this package, beside yaml.Malformed.
const (
	NotFound     = "ValueNotFound"
	Ambiguous    = "AmbiguousDependency"
	Duplicate    = "DuplicateDependency"
	NotEditable  = "ValueNotEditable"
	InvalidValue = "InvalidValue"
)

// MaxFile is the size, in bytes, of the largest file that is edited.
const MaxFile = yaml.MaxSize

// MaxValue is the longest value, in bytes, that SetValue writes.
const MaxValue = 8 << 10

// placed is an error at a place of the text that is also a sentinel.
type placed struct {
	place    *yaml.Error
	sentinel error
}

func (p placed) Error() string   { return p.place.Error() }
func (p placed) Unwrap() []error { return []error{p.place, p.sentinel} }

func refuse(reason string, sentinel error, place *yaml.Error, hint string) error {
	return fault.Refused(reason, placed{place, sentinel}, hint)
}

func notEditable(place *yaml.Error, hint string) error {
	return fault.Refused(NotEditable, place, hint)
}

// replace writes value where node, a scalar of text, stands. A value that
// stands there already gives the text as it is.
func replace(text *yaml.Text, node yaml.Node, value string, as meaning) ([]byte, error) {
	if err := checkEditable(node); err != nil {
		return nil, err
	}
	if node.Value() == value && (as == scalarLike || node.Type() == "!!str") {
		return text.Source(), nil
	}
	span, err := text.Span(node)
	if err != nil {
		return nil, fault.Refused(NotEditable, err, byHand)
	}
	token, ok := write(text.Source(), span, node, value, as)
	if !ok {
		return nil, notEditable(node.Errorf("a block of text here cannot hold %.40q", value), byHand)
	}
	out := splice(text.Source(), span, token)
	return out, verify(text, node, value, out)
}

const byHand = "Write the value in quotes on one line by hand once; then it can be changed here."

func checkEditable(node yaml.Node) error {
	switch node.Kind() {
	case yaml.Scalar:
		return nil
	case yaml.Alias:
		anchor := node.Target()
		return notEditable(node.Errorf("the value is the alias *%s", node.Value()),
			node.Errorf("Change the value at its anchor &%s, line %d, or write a value of its own here.", node.Value(), anchor.Line()).Message)
	}
	return notEditable(node.Errorf("a %s stands here, not a single value", node.Kind()), "Name the value inside it.")
}

func splice(source []byte, span yaml.Span, token string) []byte {
	return bytes.Join([][]byte{source[:span.Start], []byte(token), source[span.End:]}, nil)
}

// checkValue bounds what callers may write. Values come from parameters, and
// a parameter that swallowed a file should not end up in a commit.
func checkValue(value string) error {
	switch {
	case len(value) > MaxValue:
		return invalid("the value has %d bytes, more than %d", len(value), MaxValue)
	case !utf8.ValidString(value):
		return invalid("the value is not valid UTF-8")
	}
	return nil
}
