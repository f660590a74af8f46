package yaml

import "bytes"

// measureBlock finds a block scalar's end: its content is every line that is
// indented at least as far as the first one with text. The span ends before
// the last content line's break; blank lines behind it stay outside.
func (t *Text) measureBlock(start int) (Span, bool) {
	if c := t.source[start]; c != '|' && c != '>' {
		return Span{}, false
	}
	end := t.lineEnd(start)
	indent := -1
	for at := end; at < len(t.source); {
		at += breakLength(t.source[at:])
		line := t.source[at:t.lineEnd(at)]
		blanks := len(line) - len(bytes.TrimLeft(line, " "))
		if len(bytes.TrimSpace(line)) > 0 {
			if indent < 0 {
				indent = blanks
			}
			if blanks < indent || blanks == 0 {
				break
			}
			end = at + len(line)
		}
		at += len(line)
	}
	return Span{start, end, Block}, indent > 0
}
