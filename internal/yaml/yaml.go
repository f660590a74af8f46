// Package yaml reads YAML with positions: where each value stands, line and
// column for people, byte range for edits. It never writes YAML; an encoder
// would lose comments, quotes or line ends.
//
// It is the project's one door to a YAML parser, and it is stricter than that
// parser: texts that are too large or too deep, and mappings that say one key
// twice, are errors, since each reader of such a file sees something else.
package yaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Limits of a text that Parse accepts. They bound memory and time for text
// that other people wrote: a parsed text takes up to a hundred times its size.
const (
	MaxSize  = 2 << 20 // bytes
	MaxDepth = 200     // nested collections
)

// Error is a fault in a YAML text and where it stands. Its text starts with
// "line:column: ", so a caller who knows the file's name puts that and a colon
// in front and gets the form that editors jump to.
type Error struct {
	Line, Column int // both count from 1; columns count characters
	Message      string
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

// Malformed is the fault reason of every error of Parse.
const Malformed = "MalformedYAML"

// Text is a parsed YAML text. It keeps the bytes it was parsed from.
type Text struct {
	source    []byte
	lines     []int // offset of each line's first character
	documents []Node
}

// Parse reads all documents of source, which is UTF-8 with or without a byte
// order mark. The error carries an *Error and the reason Malformed.
func Parse(source []byte) (*Text, error) {
	t := &Text{source: source}
	err := t.parse()
	if err != nil {
		return nil, fault.Refused(Malformed, err, "Correct the file at the place named and try again.")
	}
	return t, nil
}

func (t *Text) parse() error {
	if err := t.checkEncoding(); err != nil {
		return err
	}
	t.lines = lineStarts(t.source)
	roots, err := decode(t.source)
	if err != nil {
		return t.locate(err)
	}
	for _, root := range roots {
		if err := check(Node{root}, 0); err != nil {
			return err
		}
		t.documents = append(t.documents, Node{root.Content[0]})
	}
	return nil
}

func (t *Text) checkEncoding() error {
	switch {
	case len(t.source) > MaxSize:
		return &Error{1, 1, fmt.Sprintf("the file has %d bytes, more than the %d that are read", len(t.source), MaxSize)}
	case bytes.HasPrefix(t.source, []byte("\xff\xfe")), bytes.HasPrefix(t.source, []byte("\xfe\xff")):
		return &Error{1, 1, "the file is UTF-16; only UTF-8 is read"}
	case !utf8.Valid(t.source):
		return &Error{1, 1, "the file is not valid UTF-8"}
	}
	return nil
}

// decode gives the document nodes of source. The parser's tree keeps aliases
// as references, so a text cannot grow by expansion.
func decode(source []byte) ([]*yaml.Node, error) {
	var roots []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	for {
		root := &yaml.Node{}
		err := decoder.Decode(root)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
}

// Source is the text as it was given to Parse.
func (t *Text) Source() []byte { return t.source }

// Documents are the root values of the documents, in order; a file without
// content has none.
func (t *Text) Documents() []Node { return t.documents }
