package yaml

import (
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"
)

// lineStarts gives the offset of each line. YAML 1.1, which the parser counts
// by, breaks lines at CR, LF, CR LF, U+0085, U+2028 and U+2029. A byte order
// mark in front belongs to no column.
func lineStarts(source []byte) []int {
	starts := []int{len(byteOrderMark(source))}
	for i := starts[0]; i < len(source); {
		n := breakLength(source[i:])
		if n > 0 {
			starts = append(starts, i+n)
		}
		i += max(n, 1)
	}
	return starts
}

func byteOrderMark(source []byte) string {
	const mark = "\xef\xbb\xbf"
	if strings.HasPrefix(string(source[:min(len(source), 3)]), mark) {
		return mark
	}
	return ""
}

// breakLength is the length of the line break that text starts with, or 0.
func breakLength(text []byte) int {
	switch {
	case len(text) == 0:
		return 0
	case text[0] == '\n':
		return 1
	case text[0] == '\r':
		if len(text) > 1 && text[1] == '\n' {
			return 2
		}
		return 1
	case text[0] == 0xC2 && len(text) > 1 && text[1] == 0x85:
		return 2
	case text[0] == 0xE2 && len(text) > 2 && text[1] == 0x80 && (text[2] == 0xA8 || text[2] == 0xA9):
		return 3
	}
	return 0
}

// offset is the byte at which line and column, both from 1, stand.
func (t *Text) offset(line, column int) int {
	if line < 1 || line > len(t.lines) {
		return len(t.source)
	}
	at := t.lines[line-1]
	for ; column > 1 && at < len(t.source); column-- {
		_, size := utf8.DecodeRune(t.source[at:])
		at += size
	}
	return at
}

// position is the line and column, both from 1, of a byte.
func (t *Text) position(offset int) (line, column int) {
	line = sort.Search(len(t.lines), func(i int) bool { return t.lines[i] > offset })
	line = max(line, 1)
	start := min(t.lines[line-1], offset)
	return line, 1 + utf8.RuneCount(t.source[start:offset])
}

// locate finds where the parser's complaint arises. Its errors carry at most
// a line, often that of the surrounding construct; but it reads forward only,
// so the shortest beginning of the text that gives the same error ends with
// the character it stumbled on.
func (t *Text) locate(cause error) error {
	fails := func(length int) bool {
		_, err := decode(t.source[:length])
		return err != nil && err.Error() == cause.Error()
	}
	end := sort.Search(len(t.source), func(length int) bool { return fails(length) })
	line, column := t.position(max(end-1, 0))
	return &Error{Line: line, Column: column, Message: plainWords(cause.Error(), t.source[:end])}
}

// plainWords takes the parser's own prefix and line off its message and names
// a tab, which nobody sees, by its name.
func plainWords(message string, read []byte) string {
	message = regexp.MustCompile(`^yaml: (line \d+: )?`).ReplaceAllString(message, "")
	if strings.HasSuffix(string(read), "\t") {
		return "a tab where YAML allows only spaces for indentation"
	}
	return message
}
