package gitconfig

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ErrSyntax: the text is none that git would read.
var ErrSyntax = errors.New("not in the format of git-config")

// Parse reads a file. The error names the line.
func Parse(text []byte) (*File, error) {
	p := &parser{text: bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), line: 1, nameless: true}
	f := &File{}
	for p.skip() {
		if err := p.statement(f); err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
	}
	return f, nil
}

type parser struct {
	text    []byte
	line    int  // of the last byte that was taken
	newline bool // it ended its line

	section, subsection string
	nameless            bool // the section or the subsection is called "", and no setting is looked for there
}

// end stands for the end of the text, which ends a line as well.
const end = -1

// take gives the next byte. A carriage return in front of a line end belongs to
// that.
func (p *parser) take() int {
	if p.newline {
		p.line, p.newline = p.line+1, false
	}
	if len(p.text) == 0 {
		return end
	}
	if len(p.text) > 1 && p.text[0] == '\r' && p.text[1] == '\n' {
		p.text = p.text[1:]
	}
	c := p.text[0]
	p.text = p.text[1:]
	p.newline = c == '\n'
	return int(c)
}

func (p *parser) peek() int {
	if len(p.text) == 0 {
		return end
	}
	return int(p.text[0])
}

// skip passes blanks and comments, and reports whether something follows.
func (p *parser) skip() bool {
	for {
		switch c := p.peek(); {
		case c == end:
			return false
		case isBlank(c):
			p.take()
		case c == '#' || c == ';':
			for c := p.take(); c != '\n' && c != end; c = p.take() {
			}
		default:
			return true
		}
	}
}

// statement is a section's header or a key with its value.
func (p *parser) statement(f *File) error {
	c := p.take()
	switch {
	case c == '[':
		return p.header()
	case !isLetter(c):
		return fmt.Errorf("%w: %q begins neither a section nor a key", ErrSyntax, rune(c))
	}
	key := []byte{byte(c)}
	for isKey(p.peek()) {
		key = append(key, byte(p.take()))
	}
	value, err := p.assigned()
	if err != nil || p.nameless {
		return err
	}
	f.settings = append(f.settings, setting{p.section, p.subsection, strings.ToLower(string(key)), value})
	return nil
}

// header reads [section], [section "subsection"] or, as old files have it,
// [section.subsection].
func (p *parser) header() error {
	var name []byte
	for c := p.take(); c != ']'; c = p.take() {
		if isBlank(c) && c != '\n' {
			subsection, err := p.quotedName()
			p.begin(string(name), subsection, subsection == "")
			return err
		}
		if !isKey(c) && c != '.' {
			return fmt.Errorf("%w: the name of a section does not end with ]", ErrSyntax)
		}
		name = append(name, byte(c))
	}
	if len(name) == 0 {
		return fmt.Errorf("%w: a section without a name", ErrSyntax)
	}
	section, subsection, divided := strings.Cut(strings.ToLower(string(name)), ".")
	p.begin(section, subsection, divided && subsection == "")
	return nil
}

func (p *parser) begin(section, subsection string, nameless bool) {
	p.section, p.subsection = strings.ToLower(section), subsection
	p.nameless = nameless || section == ""
}

func (p *parser) quotedName() (string, error) {
	c := p.take()
	for isBlank(c) && c != '\n' {
		c = p.take()
	}
	if c != '"' {
		return "", fmt.Errorf("%w: the name of a subsection is not in quotes", ErrSyntax)
	}
	var name []byte
	for c = p.take(); c != '"'; c = p.take() {
		if c == '\\' {
			c = p.take()
		}
		if c == '\n' || c == end {
			return "", fmt.Errorf("%w: the name of a subsection does not end", ErrSyntax)
		}
		name = append(name, byte(c))
	}
	if p.take() != ']' {
		return "", fmt.Errorf("%w: the name of a subsection is not followed by ]", ErrSyntax)
	}
	return string(name), nil
}

// assigned is what stands behind a key. Nothing means true.
func (p *parser) assigned() (string, error) {
	c := p.take()
	for c == ' ' || c == '\t' {
		c = p.take()
	}
	switch c {
	case '\n', end:
		return "true", nil
	case '=':
		return p.value()
	}
	return "", fmt.Errorf("%w: a key is not followed by =", ErrSyntax)
}

// value reads to the end of the line: blanks at its ends and comments are not
// part of it, unless they are in quotes.
func (p *parser) value() (string, error) {
	var value []byte
	quoted := false
	keep := 0 // bytes that are not blanks at the end
	for {
		c := p.take()
		switch {
		case c == '\n' || c == end:
			if quoted {
				return "", fmt.Errorf("%w: a quote does not end", ErrSyntax)
			}
			return string(value[:keep]), nil
		case !quoted && (c == '#' || c == ';'):
			for c != '\n' && c != end {
				c = p.take()
			}
			return string(value[:keep]), nil
		case !quoted && isBlank(c):
			if len(value) > 0 {
				value = append(value, byte(c))
			}
			continue
		case c == '"':
			quoted = !quoted
		case c == '\\':
			escaped, err := unescape(p.take())
			if err != nil {
				return "", err
			}
			value = append(value, escaped...)
		default:
			value = append(value, byte(c))
		}
		keep = len(value)
	}
}

// unescape is the byte that stands for a backslash and a letter; none for a
// line that goes on.
func unescape(c int) (string, error) {
	switch c {
	case '\n', end:
		return "", nil
	case 't':
		return "\t", nil
	case 'b':
		return "\b", nil
	case 'n':
		return "\n", nil
	case '\\', '"':
		return string(rune(c)), nil
	}
	return "", fmt.Errorf("%w: a backslash in front of what needs none", ErrSyntax)
}

func isBlank(c int) bool  { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isLetter(c int) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isKey(c int) bool    { return isLetter(c) || '0' <= c && c <= '9' || c == '-' }
