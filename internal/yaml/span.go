package yaml

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Form is how a scalar is written.
type Form int

// The forms of scalars.
const (
	Empty        Form = iota // nothing stands there: null
	Unquoted                 // a plain scalar
	SingleQuoted             // 'value'
	DoubleQuoted             // "value"
	Block                    // | or > with its content on the lines below
)

// Span is the part of a text that a scalar's value takes: with its quotes or
// its block header and content, without anchor, tag, blanks around it and
// comments beside it.
type Span struct {
	Start, End int // bytes; End is the first byte after
	Form       Form
}

// Span finds the bytes of a scalar's value. It fails rather than guess where
// the bytes it finds do not read as the value that the parser gave.
func (t *Text) Span(n Node) (Span, error) {
	if n.Kind() != Scalar {
		return Span{}, n.Errorf("a %s, not a single value", n.Kind())
	}
	start := t.skipProperties(t.offset(n.Line(), n.Column()), n)
	span, ok := t.measure(start, n.raw)
	if !ok {
		return Span{}, n.Errorf("cannot tell exactly which bytes the value %q takes", n.Value())
	}
	return span, nil
}

// skipProperties steps over anchor and tag, in either order, and over what may
// stand between them and the value. No value starts with either mark.
func (t *Text) skipProperties(at int, n Node) int {
	for t.propertyAt(at) {
		at += max(wordLength(t.source[at:]), 1)
		next := t.skipBlank(at)
		if isEmpty(n.raw) && (!t.propertyAt(next) || next > t.lineEnd(at)) {
			return at
		}
		at = next
	}
	return at
}

func (t *Text) propertyAt(at int) bool {
	return at < len(t.source) && (t.source[at] == '&' || t.source[at] == '!')
}

func isEmpty(raw *yaml.Node) bool { return raw.Value == "" && raw.Style&^yaml.TaggedStyle == 0 }

// wordLength is the length of an anchor or tag: up to a blank or line break,
// and in a flow collection up to its punctuation.
func wordLength(text []byte) int {
	if bytes.HasPrefix(text, []byte("!<")) {
		return bytes.IndexByte(text, '>') + 1
	}
	i := 0
	for i < len(text) && !strings.ContainsRune(" \t,[]{}", rune(text[i])) && breakLength(text[i:]) == 0 {
		i++
	}
	return i
}

// skipBlank steps over blanks, line breaks and comments.
func (t *Text) skipBlank(at int) int {
	for at < len(t.source) {
		switch n := breakLength(t.source[at:]); {
		case n > 0:
			at += n
		case t.source[at] == ' ' || t.source[at] == '\t':
			at++
		case t.source[at] == '#':
			at = t.lineEnd(at)
		default:
			return at
		}
	}
	return at
}

// lineEnd is the offset of the line break at or after at.
func (t *Text) lineEnd(at int) int {
	for at < len(t.source) && breakLength(t.source[at:]) == 0 {
		at++
	}
	return at
}

func (t *Text) measure(start int, raw *yaml.Node) (Span, bool) {
	if isEmpty(raw) {
		return Span{start, start, Empty}, true
	}
	if start >= len(t.source) {
		return Span{}, false
	}
	switch raw.Style &^ yaml.TaggedStyle {
	case yaml.SingleQuotedStyle:
		return t.measureQuoted(start, '\'', SingleQuoted, raw.Value)
	case yaml.DoubleQuotedStyle:
		return t.measureQuoted(start, '"', DoubleQuoted, raw.Value)
	case yaml.LiteralStyle, yaml.FoldedStyle:
		return t.measureBlock(start)
	}
	return t.measurePlain(start, raw.Value)
}

func (t *Text) measureQuoted(start int, quote byte, form Form, value string) (Span, bool) {
	text := t.source[start:]
	if text[0] != quote {
		return Span{}, false
	}
	for i := 1; i < len(text); i++ {
		switch {
		case quote == '"' && text[i] == '\\':
			i++
		case quote == '\'' && text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return Span{start, start + i + 1, form}, readsAs(text[:i+1], value)
		}
	}
	return Span{}, false
}

// readsAs reports whether a quoted scalar alone has the value; one that spans
// lines reads the same at any indentation.
func readsAs(scalar []byte, value string) bool {
	var got []string
	return yaml.Unmarshal(fmt.Appendf(nil, "- %s", scalar), &got) == nil && len(got) == 1 && got[0] == value
}

// measurePlain walks value and text side by side. A plain scalar stands word
// by word in the text; only its line breaks fold into blanks.
func (t *Text) measurePlain(start int, value string) (Span, bool) {
	at := start
	for i := 0; i < len(value); {
		if at < len(t.source) && t.source[at] == value[i] && value[i] != '\n' && !t.blankBeforeBreak(at) {
			at, i = at+1, i+1
			continue
		}
		next, folded, ok := t.fold(at)
		if !ok || !strings.HasPrefix(value[i:], folded) {
			return Span{}, false
		}
		at, i = next, i+len(folded)
	}
	return Span{start, at, Unquoted}, true
}

// blankBeforeBreak reports whether only blanks stand between at and the end of
// the line: such blanks are not part of a value.
func (t *Text) blankBeforeBreak(at int) bool {
	return len(bytes.Trim(t.source[at:t.lineEnd(at)], " \t")) == 0
}

// fold reads the blanks and line breaks between two lines of a plain scalar
// and gives what they become: one break is a blank, each further one itself.
func (t *Text) fold(at int) (next int, folded string, ok bool) {
	breaks := 0
	for at < len(t.source) {
		n := breakLength(t.source[at:])
		if n == 0 && t.source[at] != ' ' && t.source[at] != '\t' {
			break
		}
		if n > 0 {
			breaks++
		}
		at += max(n, 1)
	}
	switch breaks {
	case 0:
		return at, "", false
	case 1:
		return at, " ", true
	}
	return at, strings.Repeat("\n", breaks-1), true
}
