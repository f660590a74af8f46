package yaml

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// Text of a scalar as a program sees it that asks for a string, the way Helm's
// reader gives numbers and Booleans to string fields: 1.0 is "1", null is "".
func (n Node) Text() string {
	n = n.Target()
	if n.Kind() != Scalar {
		return ""
	}
	return canonical(n.Data())
}

// Data is a scalar's value as Helm's reader knows it: nil, a bool, a number or
// a string. That reader follows YAML 1.1, where an unquoted "on" is true.
func (n Node) Data() any {
	n = n.Target()
	if value, ok := oldBoolean(n.Value()); ok && n.Plain() && !n.Tagged() {
		return value
	}
	if n.Kind() == Scalar && n.Type() == "!!str" {
		return n.Value() // which is what a decoder would be made for
	}
	var value any
	if n.raw.Decode(&value) != nil {
		return n.Value()
	}
	return value
}

func oldBoolean(word string) (value, ok bool) {
	switch word {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
		return true, true
	case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

func canonical(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(value)
}

// numeric is what some reader may take for a number, however large.
var numeric = regexp.MustCompile(`^[-+.\d][\d_]*(\.[\d_]*)?([eE][-+]?\d+)?$`)

// ReadsAsString reports whether value may stand without quotes and is read as
// that string everywhere: in block and flow collections, and by readers of
// YAML 1.1, to which "yes" is a Boolean and "1:30" a number.
func ReadsAsString(value string) bool {
	kind, ok := plainType(value)
	if !ok || kind != "!!str" || numeric.MatchString(value) {
		return false
	}
	encoded, err := yaml.Marshal(value)
	return err == nil && string(encoded) == value+"\n"
}

// ReadsAsNumber reports whether value without quotes is a number or a Boolean
// that prints as it is written. "1.10" is not: it is read as 1.1.
func ReadsAsNumber(value string) bool {
	kind, ok := plainType(value)
	if !ok || (kind != "!!int" && kind != "!!float" && kind != "!!bool") {
		return false
	}
	var data any
	return yaml.Unmarshal([]byte(value), &data) == nil && canonical(data) == value
}

// plainType is the type that value has as a plain scalar in a flow sequence,
// the place that allows least.
func plainType(value string) (string, bool) {
	roots, err := decode([]byte("[" + value + "]"))
	if err != nil || len(roots) != 1 || len(roots[0].Content[0].Content) != 1 {
		return "", false
	}
	n := Node{roots[0].Content[0].Content[0]}
	whole := n.Kind() == Scalar && n.Plain() && !n.Tagged() && n.Anchor() == "" && n.Value() == value
	return n.Type(), whole
}

// SingleQuote gives value in single quotes, and false where that cannot
// express it.
func SingleQuote(value string) (string, bool) {
	for _, r := range value {
		if !printable(r) {
			return "", false
		}
	}
	return "'" + strings.ReplaceAll(value, "'", "''") + "'", true
}

// DoubleQuote gives value in double quotes on one line.
func DoubleQuote(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case printable(r):
			b.WriteRune(r)
		case r > 0xFFFF:
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// printable leaves out what YAML, terminals or editors treat as more than a
// character: controls, other line breaks, marks of direction and byte order.
func printable(r rune) bool {
	return r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r)
}
