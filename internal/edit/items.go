package edit

import (
	"bytes"
	"slices"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// DuplicateItem is the fault reason of two items of one name.
const DuplicateItem = "DuplicateItem"

// nameKey is the key by which the items of a list are told apart.
const nameKey = "name"

// AddItem adds a mapping to the list at the top-level key list: behind the item
// whose name is after, or at the end where after is "". It is written like the
// item in front of it, in lines or between braces; a list that is empty, null or
// not there is made in lines. No other byte changes; where that cannot be had, as
// in a list between brackets, it refuses. Pairs without a value are left out.
//
// ErrNotFound: no item is called after. ErrDuplicate: one has the new name, or
// two have the same.
func AddItem(file []byte, list, after string, pairs []Pair) ([]byte, error) {
	if err := checkPairs(pairs); err != nil {
		return nil, err
	}
	pairs = slices.DeleteFunc(slices.Clone(pairs), func(p Pair) bool { return p.Value == nil })
	name := wantedName(pairs)
	if name == "" {
		return nil, invalid("an item without a name")
	}
	l, err := readList(file, list)
	if err != nil {
		return nil, err
	}
	if err := l.checkFree(name, -1); err != nil {
		return nil, err
	}
	index := len(l.items)
	if after != "" {
		if index, err = l.find(after); err != nil {
			return nil, err
		}
		index++
	}
	out, err := l.with(index, pairs)
	if err != nil {
		return nil, err
	}
	return l.verified(out, func(old, now []yaml.Node) bool {
		return len(now) == len(old)+1 && holds(now[index], pairs) && (&comparison{}).sameItems(old, slices.Delete(slices.Clone(now), index, index+1))
	})
}

// RemoveItem takes the item with that name out of the list at the top-level key
// list, with the comments that belong to it: those directly above it that start
// where its dash does, and those directly below it that are indented further.
// With the item goes one of the blank gaps around it. The last item leaves "[]".
//
// ErrNotFound: no item has the name. ErrDuplicate: two items have the same.
func RemoveItem(file []byte, list, name string) ([]byte, error) {
	l, err := readList(file, list)
	if err != nil {
		return nil, err
	}
	index, err := l.own(name)
	if err != nil {
		return nil, err
	}
	out, err := l.without(index)
	if err != nil {
		return nil, err
	}
	return l.verified(out, func(old, now []yaml.Node) bool {
		return (&comparison{}).sameItems(slices.Delete(slices.Clone(old), index, index+1), now)
	})
}

// with is the text with a further item at index.
func (l *itemList) with(index int, pairs []Pair) ([]byte, error) {
	if len(l.items) == 0 {
		return l.withFirst(pairs)
	}
	neighbour := l.items[index-1]
	lines, err := l.lines(neighbour)
	if err != nil {
		return nil, err
	}
	source := l.text.Source()
	lead := string(source[lines.Start : lines.Start+neighbour.Column()-1])
	item := blockItem(lead, pairs, l.form(neighbour), l.text.LineBreak())
	if neighbour.Flow() {
		item = lead + flowItem(source[startOf(l.text, neighbour)+1:], pairs, l.form(neighbour)) + l.text.LineBreak()
	}
	if l.gapBefore(max(index-1, 1)) {
		item = l.text.LineBreak() + item
	}
	return insertLines(l.text, lines.End, item), nil
}

// withFirst makes the list, or opens the empty one.
func (l *itemList) withFirst(pairs []Pair) ([]byte, error) {
	source := openList(l.text, l.key)
	if l.node.Kind() == yaml.Scalar { // null, perhaps in letters
		span, err := l.text.Span(l.node)
		if err != nil {
			return nil, fault.Refused(NotEditable, err, byHandList)
		}
		source = slices.Concat(bytes.TrimRight(source[:span.Start], " "), source[span.End:])
	}
	opened, err := yaml.Parse(source)
	if err != nil {
		return nil, l.refused("the list has no lines of its own")
	}
	at, before, err := placeForFirst(opened, l.key)
	if err != nil {
		return nil, err
	}
	return insertLines(opened, at, before+blockItem("- ", pairs, yaml.Unquoted, opened.LineBreak())), nil
}

// without is the text without the item at index.
func (l *itemList) without(index int) ([]byte, error) {
	lines, err := l.lines(l.items[index])
	if err != nil {
		return nil, err
	}
	source := l.text.Source()
	start, end := l.commentsAbove(lines), lines.End
	switch last := index == len(l.items)-1; {
	case !last && (index == 0 || l.gapBefore(index)):
		for blankAt(source, end) {
			end = nextLine(source, end)
		}
	case last && index > 0:
		for before, ok := lineBefore(source, start); ok && blankAt(source, before); before, ok = lineBefore(source, start) {
			start = before
		}
	}
	out := slices.Concat(source[:start], source[end:])
	if len(l.items) > 1 {
		return out, nil
	}
	return l.emptied(out)
}

// emptied writes "[]" where nothing is left of a list: null would say that
// somebody forgot it.
func (l *itemList) emptied(file []byte) ([]byte, error) {
	t, err := yaml.Parse(file)
	if err != nil || len(t.Documents()) == 0 {
		return nil, l.refused("the file would no longer parse")
	}
	span, err := t.Span(t.Documents()[0].Get(l.key))
	if err != nil || span.Form != yaml.Empty {
		return nil, l.refused("something would be left of it")
	}
	return splice(file, span, blankBefore(file, span.Start)+"[]"), nil
}

// lines are those of an item, with the comments behind it that are indented
// further than its dash and so stand inside it.
func (l *itemList) lines(item yaml.Node) (yaml.Lines, error) {
	if l.node.Flow() {
		return yaml.Lines{}, l.refused("it stands between brackets")
	}
	lines, err := l.text.ItemLines(item)
	if err != nil {
		return yaml.Lines{}, fault.Refused(NotEditable, err, byHandList)
	}
	end, err := endOf(l.text, item)
	if err != nil {
		return yaml.Lines{}, fault.Refused(NotEditable, err, byHandList)
	}
	source := l.text.Source()
	lines.End = nextLine(source, end)
	for lines.End < len(source) {
		indent, comment := commentAt(source, lines.End)
		if !comment || indent <= lines.Indent {
			break
		}
		lines.End = nextLine(source, lines.End)
	}
	return lines, nil
}

// commentsAbove is where the comments begin that stand directly above an item
// and start where its dash does.
func (l *itemList) commentsAbove(lines yaml.Lines) int {
	source, start := l.text.Source(), lines.Start
	for {
		before, ok := lineBefore(source, start)
		if !ok {
			return start
		}
		if indent, comment := commentAt(source, before); !comment || indent != lines.Indent {
			return start
		}
		start = before
	}
}

// gapBefore reports whether a blank line parts an item from the one before it.
func (l *itemList) gapBefore(index int) bool {
	if index < 1 || index >= len(l.items) {
		return false
	}
	lines, err := l.lines(l.items[index])
	if err != nil {
		return false
	}
	before, ok := lineBefore(l.text.Source(), l.commentsAbove(lines))
	return ok && blankAt(l.text.Source(), before)
}

// form is how an item writes its keys. Where they are in double quotes, as in
// JSON, what is added is.
func (l *itemList) form(item yaml.Node) yaml.Form {
	return keyForm(l.text, item.Pairs()[0].Key)
}

func keyForm(t *yaml.Text, key yaml.Node) yaml.Form {
	if span, err := t.Span(key); err == nil && span.Form == yaml.DoubleQuoted {
		return yaml.DoubleQuoted
	}
	return yaml.Unquoted
}
