package yaml

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// Lines are whole lines of a text, with their line breaks but for one that the
// text does not end with.
type Lines struct {
	Start, End int // bytes; End is the first byte after
	Indent     int // bytes in front of the dash
}

// ItemLines finds the lines that an item of a list takes that is written in
// lines: from its dash to the end of its last value. It fails where an item has
// no lines to itself, and may be one line short where a flow collection ends the
// item: whoever changes lines reads the text again.
func (t *Text) ItemLines(item Node) (Lines, error) {
	start := t.lineStart(item.Line())
	first := t.offset(item.Line(), item.Column())
	mark := t.source[start:first]
	dash := bytes.IndexByte(mark, '-')
	if dash < 0 || len(bytes.TrimLeft(mark[:dash], " ")) > 0 || len(bytes.Trim(mark[dash+1:], " ")) > 0 || dash+1 == len(mark) {
		return Lines{}, item.Errorf("the item has no lines to itself")
	}
	end, err := t.lastByte(item)
	if err != nil {
		return Lines{}, err
	}
	end = t.lineEnd(end)
	end += breakLength(t.source[end:])
	return Lines{start, end, dash}, nil
}

// LinesAfter is where lines may stand that are to follow a node which stands on
// one line.
func (t *Text) LinesAfter(n Node) int {
	end := t.lineEnd(t.offset(n.Line(), n.Column()))
	return end + breakLength(t.source[end:])
}

func (t *Text) lineStart(line int) int { return t.offset(line, 1) }

// lastByte is the end of the last value inside a node.
func (t *Text) lastByte(n Node) (int, error) {
	switch {
	case n.Kind() == Scalar:
		span, err := t.Span(n)
		return span.End, err
	case len(n.raw.Content) == 0: // an alias, or an empty collection on one line
		return t.offset(n.Line(), n.Column()), nil
	}
	return t.lastByte(Node{n.raw.Content[len(n.raw.Content)-1]})
}

// Walk visits a node and all that is written inside it; aliases are visited and
// not followed.
func (n Node) Walk(visit func(Node)) {
	if !n.Exists() {
		return
	}
	visit(n)
	for _, inside := range n.raw.Content {
		Node{inside}.Walk(visit)
	}
}

// EmptyList finds the brackets of an empty list that is written as "[]".
func (t *Text) EmptyList(n Node) (Span, bool) {
	if n.Kind() != Sequence || len(n.raw.Content) > 0 {
		return Span{}, false
	}
	start := t.offset(n.Line(), n.Column())
	return Span{Start: start, End: start + 2}, bytes.HasPrefix(t.source[start:], []byte("[]"))
}

// Flow reports whether a collection is written between brackets.
func (n Node) Flow() bool { return n.raw != nil && n.raw.Style&yaml.FlowStyle != 0 }

// LineBreak is the one that the text's first line ends with; "\n" where there is
// none.
func (t *Text) LineBreak() string {
	end := t.lineEnd(0)
	if n := breakLength(t.source[end:]); n > 0 {
		return string(t.source[end : end+n])
	}
	return "\n"
}
