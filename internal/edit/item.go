package edit

import (
	"bytes"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// SetItem sets keys of the item with that name in the list at the top-level key
// list. A value is replaced in its place, in its quotes; a list in lines becomes
// one between brackets. A key that is not there goes behind the last one, a key
// without a value goes with its line. What stands there already changes no byte.
//
// ErrNotFound: no item has the name. ErrDuplicate: two items have the same, or
// would.
func SetItem(file []byte, list, name string, pairs []Pair) ([]byte, error) {
	if err := checkPairs(pairs); err != nil {
		return nil, err
	}
	l, err := readList(file, list)
	if err != nil {
		return nil, err
	}
	index, err := l.own(name)
	if err != nil {
		return nil, err
	}
	if err := l.checkFree(wantedName(pairs), index); err != nil {
		return nil, err
	}
	for _, p := range pairs {
		if file, err = setPair(file, list, index, p); err != nil {
			return nil, err
		}
	}
	return file, nil
}

// setPair makes one change and reads the text again behind it, so that each
// begins with places that are right.
func setPair(file []byte, list string, index int, p Pair) (out []byte, err error) {
	l, err := readList(file, list)
	if err != nil {
		return nil, err
	}
	e := itemEdit{l.text, l.items[index]}
	pairs := e.item.Pairs()
	i := slices.IndexFunc(pairs, func(q yaml.Pair) bool { return q.Key.Kind() == yaml.Scalar && q.Key.Value() == p.Key })
	switch {
	case i < 0 && p.Value == nil, i >= 0 && reads(pairs[i].Value, p.Value):
		return file, nil
	case i < 0:
		i = len(pairs)
		out, err = e.add(p)
	case p.Value == nil:
		out, err = e.remove(i)
	default:
		out, err = e.replace(pairs[i], p.Value)
	}
	if err != nil {
		return nil, err
	}
	return l.verified(out, func(old, now []yaml.Node) bool {
		if len(now) != len(old) || now[index].Kind() != yaml.Mapping || now[index].Type() != old[index].Type() || now[index].Anchor() != "" {
			return false
		}
		changed := now[index].Pairs()
		if p.Value != nil {
			if i >= len(changed) || changed[i].Key.Value() != p.Key || !reads(changed[i].Value, p.Value) {
				return false
			}
			changed = slices.Delete(changed, i, i+1)
		}
		return (&comparison{}).samePairs(slices.Delete(pairs, i, min(i+1, len(pairs))), changed) &&
			(&comparison{}).sameItems(slices.Delete(old, index, index+1), slices.Delete(now, index, index+1))
	})
}

// itemEdit changes one pair of an item that has no anchors, aliases and merge
// keys in it.
type itemEdit struct {
	text *yaml.Text
	item yaml.Node
}

const byHandKey = "Change this item by hand once."

func refusedSpan(err error) error { return fault.Refused(NotEditable, err, byHandKey) }

// replace writes a value where another stands.
func (e itemEdit) replace(pair yaml.Pair, value any) ([]byte, error) {
	switch node := pair.Value; node.Kind() {
	case yaml.Scalar:
		return e.replaceScalar(pair, value)
	case yaml.Sequence:
		for _, item := range node.Items() {
			if item.Kind() != yaml.Scalar {
				return nil, notEditable(node.Errorf("%s is a list of more than texts", pair.Key.Value()), byHandKey)
			}
		}
		if node.Flow() {
			return e.replaceFlowList(node, value)
		}
		return e.replaceBlockList(pair, value)
	}
	return nil, notEditable(pair.Value.Errorf("a %s stands here, not a value or a list", pair.Value.Kind()), byHandKey)
}

func (e itemEdit) replaceScalar(pair yaml.Pair, value any) ([]byte, error) {
	form := keyForm(e.text, pair.Key)
	if wanted, ok := value.(string); ok && (pair.Value.Type() == "!!str" || form != yaml.DoubleQuoted) {
		return replace(e.text, pair.Value, wanted, text)
	}
	span, err := e.text.Span(pair.Value)
	if err != nil {
		return nil, refusedSpan(err)
	}
	switch span.Form {
	case yaml.Block:
		return nil, notEditable(pair.Value.Errorf("a block of text stands here"), byHandKey)
	case yaml.SingleQuoted, yaml.DoubleQuoted:
		form = span.Form
	}
	source := e.text.Source()
	return splice(source, span, blankBefore(source, span.Start)+token(value, form)), nil
}

// replaceFlowList keeps the items that stay as they are written.
func (e itemEdit) replaceFlowList(node yaml.Node, value any) ([]byte, error) {
	source, start := e.text.Source(), startOf(e.text, node)
	end, err := endOf(e.text, node)
	if err != nil || source[start] != '[' {
		return nil, notEditable(node.Errorf("cannot tell exactly where the list stands"), byHandKey)
	}
	form, known := yaml.Unquoted, map[string]string{}
	for i, item := range node.Items() {
		span, err := e.text.Span(item)
		if err != nil {
			return nil, refusedSpan(err)
		}
		if i == 0 {
			form = span.Form
		}
		if item.Type() == "!!str" && !item.Tagged() {
			known[item.Value()] = string(source[span.Start:span.End])
		}
	}
	written := token(value, form)
	if texts, ok := value.([]string); ok && len(texts) > 0 {
		parts := make([]string, len(texts))
		for i, word := range texts {
			if parts[i] = known[word]; parts[i] == "" {
				parts[i] = quoteLike(form, word)
			}
		}
		pad := padding(source[start+1:])
		written = "[" + pad + strings.Join(parts, ", ") + pad + "]"
	}
	return splice(source, yaml.Span{Start: start, End: end}, written), nil
}

// replaceBlockList writes the value behind the key, in front of a comment there,
// and takes the lines of the items away.
func (e itemEdit) replaceBlockList(pair yaml.Pair, value any) ([]byte, error) {
	source := e.text.Source()
	key, err := e.text.Span(pair.Key)
	if err != nil {
		return nil, refusedSpan(err)
	}
	end, err := endOf(e.text, pair.Value)
	if err != nil {
		return nil, refusedSpan(err)
	}
	behind := source[key.End:lineEnd(source, key.End)]
	colon := len(behind) - len(bytes.TrimLeft(behind, " ")) + 1
	if colon > len(behind) || behind[colon-1] != ':' {
		return nil, notEditable(pair.Key.Errorf("the key has no colon behind it"), byHandKey)
	}
	at := key.End + colon
	return slices.Concat(source[:at], []byte(" "+token(value, keyForm(e.text, pair.Key))),
		source[at:lineEnd(source, at)], source[lineEnd(source, end):]), nil
}

// add writes a pair behind the last one: on a line of its own, but where those
// between braces share theirs.
func (e itemEdit) add(p Pair) ([]byte, error) {
	source, pairs := e.text.Source(), e.item.Pairs()
	last := pairs[len(pairs)-1]
	key, end, err := e.extent(last)
	if err != nil {
		return nil, err
	}
	written := writePair(p, keyForm(e.text, last.Key))
	line := e.text.LineBreak()
	eol := lineEnd(source, end)
	if here := lineBreakAt(source, eol); here != "" {
		line = here // of texts with mixed ones
	}
	line += strings.Repeat(" ", last.Key.Column()-1)
	if !e.item.Flow() {
		return insert(source, eol, line+written), nil
	}
	if !isBlank(source[lineStart(source, key):key]) {
		return insert(source, end, ", "+written), nil
	}
	switch comma, alone := commaInLine(source, end); {
	case !alone:
		return insert(source, end, ","+line+written), nil
	case comma:
		return insert(source, eol, line+written+","), nil
	}
	return insert(insert(source, eol, line+written), end, ","), nil
}

// remove takes a pair away: the lines that it has to itself, or else, between
// braces and on the line of the dash, what parts it from its neighbour.
func (e itemEdit) remove(i int) ([]byte, error) {
	source, pairs := e.text.Source(), e.item.Pairs()
	start, end, err := e.extent(pairs[i])
	if err != nil {
		return nil, err
	}
	comma, alone := commaInLine(source, end)
	alone = alone && isBlank(source[lineStart(source, start):start])
	switch {
	case alone && (!e.item.Flow() || comma):
		return cutLines(source, start, end), nil
	case i == 0:
		next, _, err := e.extent(pairs[1])
		if err != nil {
			return nil, err
		}
		if e.item.Flow() && bytes.ContainsAny(source[end:next], "#"+breaks) || !e.item.Flow() && nextLine(source, end) != lineStart(source, next) {
			return nil, sharedLine(pairs[i])
		}
		return slices.Concat(source[:start], source[next:]), nil
	case !e.item.Flow():
		return nil, sharedLine(pairs[i])
	}
	_, before, err := e.extent(pairs[i-1])
	if err != nil {
		return nil, err
	}
	if at := skipComma(source, before); alone && source[at-1] == ',' { // the last one: that comma goes as well
		return slices.Concat(source[:at-1], cutLines(source[at:], start-at, end-at)), nil
	}
	if bytes.ContainsAny(source[before:start], "#"+breaks) {
		return nil, sharedLine(pairs[i])
	}
	return slices.Concat(source[:before], source[end:]), nil
}

func sharedLine(pair yaml.Pair) error {
	return notEditable(pair.Key.Errorf("%s shares its lines with what is not to go", pair.Key.Value()), byHandKey)
}

// extent is what a pair takes of the text, from its key to the end of its value.
func (e itemEdit) extent(pair yaml.Pair) (start, end int, err error) {
	key, err := e.text.Span(pair.Key)
	if err != nil {
		return 0, 0, refusedSpan(err)
	}
	if end, err = endOf(e.text, pair.Value); err != nil {
		return 0, 0, refusedSpan(err)
	}
	if end < key.End {
		return 0, 0, notEditable(pair.Key.Errorf("cannot tell exactly where the value of %s ends", pair.Key.Value()), byHandKey)
	}
	return key.Start, end, nil
}

// commaInLine reports whether a comma follows on the line of at, and whether
// nothing else does but a comment.
func commaInLine(source []byte, at int) (comma, alone bool) {
	rest := bytes.TrimLeft(source[at:lineEnd(source, at)], " \t")
	rest, comma = bytes.CutPrefix(rest, []byte(","))
	rest = bytes.TrimLeft(rest, " \t")
	return comma, len(rest) == 0 || rest[0] == '#'
}

// cutLines takes the lines from start to end away, and with a last one that does
// not end the break in front of it: then the text still ends without one.
func cutLines(source []byte, start, end int) []byte {
	start, end = lineStart(source, start), lineEnd(source, end)
	if next := nextLine(source, end); next > end {
		return slices.Concat(source[:start], source[next:])
	}
	if before, ok := lineBefore(source, start); ok {
		start = lineEnd(source, before)
	}
	return bytes.Clone(source[:start])
}

func insert(source []byte, at int, text string) []byte {
	return slices.Concat(source[:at], []byte(text), source[at:])
}
