package edit

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// meaning is what a value is to the file's readers.
type meaning int

const (
	text       meaning = iota // a string whatever it looks like: versions
	scalarLike                // a number stays a number where it prints the same
)

func invalid(format string, args ...any) error {
	return fault.Usage(InvalidValue, fmt.Errorf(format, args...), "")
}

// write gives the bytes that stand for value in span: in the style that is
// there, with quotes where YAML would read something else.
func write(source []byte, span yaml.Span, node yaml.Node, value string, as meaning) (string, bool) {
	switch span.Form {
	case yaml.DoubleQuoted:
		return yaml.DoubleQuote(value), true
	case yaml.SingleQuoted:
		if quoted, ok := yaml.SingleQuote(value); ok {
			return quoted, true
		}
		return yaml.DoubleQuote(value), true
	case yaml.Block:
		return writeBlock(source[span.Start:span.End], value)
	case yaml.Empty:
		return blankBefore(source, span.Start) + writePlain(node, value, as), true
	}
	return writePlain(node, value, as), true
}

func writePlain(node yaml.Node, value string, as meaning) string {
	number := as == scalarLike && isNumber(node.Type()) && yaml.ReadsAsNumber(value)
	if number || yaml.ReadsAsString(value) {
		return value
	}
	return yaml.DoubleQuote(value)
}

func isNumber(kind string) bool {
	return kind == "!!int" || kind == "!!float" || kind == "!!bool"
}

// blankBefore separates a value from the colon, dash, anchor or tag that it
// follows where nothing stood before.
func blankBefore(source []byte, at int) string {
	if at > 0 && strings.IndexByte(" \t\r\n", source[at-1]) < 0 {
		return " "
	}
	return ""
}

// writeBlock puts one line into a block scalar: the header keeps its style,
// indentation mark and comment, and says that no line break belongs to the
// value.
func writeBlock(block []byte, value string) (string, bool) {
	if _, ok := yaml.SingleQuote(value); !ok || value == "" || strings.HasPrefix(value, " ") {
		return "", false
	}
	headerEnd := bytes.IndexAny(block, "\r\n")
	if headerEnd < 0 {
		return "", false
	}
	indicators := 1
	for indicators < headerEnd && strings.IndexByte("+-0123456789", block[indicators]) >= 0 {
		indicators++
	}
	marks := strings.Trim(string(block[:indicators]), "+-") + "-"
	content := bytes.TrimLeft(block[headerEnd:], " \r\n")
	beforeContent := block[indicators : len(block)-len(content)]
	return marks + string(beforeContent) + value, true
}
