package edit

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// What a value or an item takes of the text. Nothing here proves that the bytes
// are the right ones: whoever cuts by them reads the text again.

// breaks are the line breaks of YAML 1.1, by which package yaml counts.
const breaks = "\n\r\u0085\u2028\u2029"

const byteOrderMark = "\uFEFF"

// lineStart is where the line begins that at is in.
func lineStart(source []byte, at int) int {
	i := bytes.LastIndexAny(source[:at], breaks)
	if i < 0 {
		return firstLine(source)
	}
	_, size := utf8.DecodeRune(source[i:])
	return i + size
}

func firstLine(source []byte) int {
	if bytes.HasPrefix(source, []byte(byteOrderMark)) {
		return len(byteOrderMark)
	}
	return 0
}

// lineEnd is the line break at or after at, or the end of the text.
func lineEnd(source []byte, at int) int {
	if i := bytes.IndexAny(source[at:], breaks); i >= 0 {
		return at + i
	}
	return len(source)
}

// lineBreakAt is the line break that stands at at; "" where there is none.
func lineBreakAt(source []byte, at int) string {
	if bytes.HasPrefix(source[at:], []byte("\r\n")) {
		return "\r\n"
	}
	if r, size := utf8.DecodeRune(source[at:]); size > 0 && strings.ContainsRune(breaks, r) {
		return string(source[at : at+size])
	}
	return ""
}

// nextLine is where the line behind that of at begins.
func nextLine(source []byte, at int) int {
	end := lineEnd(source, at)
	return end + len(lineBreakAt(source, end))
}

// lineBefore is where the line in front of the one that begins at start begins;
// false: there is none.
func lineBefore(source []byte, start int) (int, bool) {
	if start <= firstLine(source) {
		return 0, false
	}
	if bytes.HasSuffix(source[:start], []byte("\r\n")) {
		return lineStart(source, start-2), true
	}
	_, size := utf8.DecodeLastRune(source[:start])
	return lineStart(source, start-size), true
}

// commentAt gives how far the comment is indented that is all of the line which
// begins at start; false: the line is something else.
func commentAt(source []byte, start int) (indent int, ok bool) {
	line := source[start:lineEnd(source, start)]
	text := bytes.TrimLeft(line, " ")
	return len(line) - len(text), bytes.HasPrefix(text, []byte("#"))
}

// blankAt reports whether the line that begins at start has nothing in it. Behind
// the end of the text there is no line.
func blankAt(source []byte, start int) bool {
	return start < len(source) && isBlank(source[start:lineEnd(source, start)])
}

func isBlank(text []byte) bool { return len(bytes.Trim(text, " \t")) == 0 }

// skipBlank steps over blanks, line breaks and comments.
func skipBlank(source []byte, at int) int {
	for at < len(source) {
		n := len(lineBreakAt(source, at))
		switch {
		case n > 0:
			at += n
		case source[at] == ' ' || source[at] == '\t':
			at++
		case source[at] == '#':
			at = lineEnd(source, at)
		default:
			return at
		}
	}
	return at
}

// startOf is where a node begins, with its anchor and tag.
func startOf(t *yaml.Text, n yaml.Node) int {
	source := t.Source()
	at := firstLine(source)
	for range n.Line() - 1 {
		at = nextLine(source, at)
	}
	for range n.Column() - 1 {
		_, size := utf8.DecodeRune(source[at:])
		at += size
	}
	return at
}

// endOf is the first byte behind a node: its last value, and behind that the
// bracket where it is written between brackets.
func endOf(t *yaml.Text, n yaml.Node) (int, error) {
	if n.Kind() == yaml.Scalar {
		span, err := t.Span(n)
		return span.End, err
	}
	if n.Kind() == yaml.Alias {
		return startOf(t, n) + len("*") + len(n.Value()), nil
	}
	at := 0
	if inside := children(n); len(inside) > 0 {
		end, err := endOf(t, inside[len(inside)-1])
		if err != nil || !n.Flow() {
			return end, err
		}
		at = end
	} else {
		at = startOf(t, n) + 1
	}
	bracket := byte(']')
	if n.Kind() == yaml.Mapping {
		bracket = '}'
	}
	source := t.Source()
	at = skipBlank(source, skipComma(source, at))
	if at >= len(source) || source[at] != bracket {
		return 0, n.Errorf("cannot tell exactly where the %s ends", n.Kind())
	}
	return at + 1, nil
}

// skipComma steps over the comma that is the next thing behind at, if it is one.
func skipComma(source []byte, at int) int {
	if next := skipBlank(source, at); next < len(source) && source[next] == ',' {
		return next + 1
	}
	return at
}

// children are the values of a collection, in their order.
func children(n yaml.Node) []yaml.Node {
	if n.Kind() == yaml.Sequence {
		return n.Items()
	}
	var values []yaml.Node
	if n.Kind() == yaml.Mapping {
		for _, p := range n.Pairs() {
			values = append(values, p.Value)
		}
	}
	return values
}
