package edit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/lockstep-cd/lockstep/internal/edit"
)

// editor is what the property below is about: SetDependency, or a rival.
type editor func(file []byte, sel edit.Selector, version string) (out []byte, previous string, err error)

// FuzzSetDependency edits whatever the fuzzer makes of the style corpus and
// compares everything but the value's bytes.
func FuzzSetDependency(f *testing.F) {
	for _, style := range styles {
		file, _, _ := unmark(style.marked)
		f.Add([]byte(file), "web", "", "https://a", "2.3.119")
	}
	f.Add([]byte(twins), "web", "b", "", "1.0")
	f.Fuzz(func(t *testing.T, file []byte, name, alias, repository, version string) {
		sel := edit.Selector{Name: name, Alias: alias, Repository: repository}
		if err := onlyTheValue(edit.SetDependency, file, sel, version); err != nil {
			t.Errorf("%q, %v to %q: %v", file, sel, version, err)
		}
	})
}

// FuzzSetValue does the same for any value at any path.
func FuzzSetValue(f *testing.F) {
	for _, style := range styles {
		file, _, _ := unmark(style.marked)
		f.Add([]byte(file), ".dependencies[0].version", "2.3.119")
		f.Add([]byte(file), ".dependencies[name=web].version", "1e3")
		f.Add([]byte(file), `.description`, "a: \"b\"\n# c")
	}
	f.Fuzz(func(t *testing.T, file []byte, path, value string) {
		set := func(file []byte, _ edit.Selector, value string) ([]byte, string, error) {
			return edit.SetValue(file, path, value)
		}
		if err := onlyTheValue(set, file, edit.Selector{}, value); err != nil {
			t.Errorf("%q, %s to %q: %v", file, path, value, err)
		}
	})
}

// TestFuzzPropertyCatchesRoundTrips: the property that the fuzz tests hold the
// editor to does not hold for an encoder, for any style that encoders damage.
func TestFuzzPropertyCatchesRoundTrips(t *testing.T) {
	for name, style := range styles {
		file, _, _ := unmark(style.marked)
		if err := onlyTheValue(edit.SetDependency, []byte(file), web, "2.3.119"); err != nil {
			t.Errorf("%s: the editor fails: %v", name, err)
		}
		err := onlyTheValue(roundTrip, []byte(file), web, "2.3.119")
		if (err == nil) != style.survives {
			t.Errorf("%s: a yaml.v3 round trip gives %v, survives = %v", name, err, style.survives)
		}
	}
}

// roundTrip is the usual way: decode, change the node, encode.
func roundTrip(file []byte, sel edit.Selector, version string) (out []byte, previous string, err error) {
	roots, err := decodeAll(file)
	if err != nil {
		return nil, "", err
	}
	for _, item := range child(roots[0].Content[0], "dependencies").Content {
		if child(item, "name").Value == sel.Name {
			node := child(item, "version")
			previous = node.Value
			node.SetString(version)
		}
	}
	var b bytes.Buffer
	encoder := goyaml.NewEncoder(&b)
	for _, root := range roots {
		if err := encoder.Encode(root); err != nil {
			return nil, "", err
		}
	}
	return b.Bytes(), previous, encoder.Close()
}

func child(n *goyaml.Node, key string) *goyaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return &goyaml.Node{}
}

func decodeAll(file []byte) ([]*goyaml.Node, error) {
	var roots []*goyaml.Node
	decoder := goyaml.NewDecoder(bytes.NewReader(file))
	for {
		root := &goyaml.Node{}
		err := decoder.Decode(root)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
}

// onlyTheValue is the property: where the editor succeeds, the bytes that
// differ are one value's, the old and the new ones read as the old and the new
// value, and every other node and comment reads as before. It knows nothing of
// how the editor finds the value.
func onlyTheValue(set editor, file []byte, sel edit.Selector, version string) error {
	given := bytes.Clone(file)
	out, previous, err := set(file, sel, version)
	switch {
	case !bytes.Equal(given, file):
		return errors.New("the editor wrote into its input")
	case err != nil && out != nil:
		return fmt.Errorf("an error and a text: %w", err)
	case err != nil:
		return nil
	case bytes.Equal(file, out):
		if previous != version {
			return fmt.Errorf("nothing changed although %q stood there", previous)
		}
		return nil
	}
	if err := oneToken(file, out, previous, version); err != nil {
		return err
	}
	return oneNode(file, out, previous, version)
}

// oneToken looks for a stretch of the old text that reads as the old value,
// for which the new text has a stretch that reads as the new value; what is
// before and behind must be equal.
func oneToken(file, out []byte, previous, version string) error {
	prefix, suffix := common(file, out)
	for _, start := range boundaries(file, prefix, -1) {
		for _, end := range boundaries(file, len(file)-suffix, +1) {
			if start > end {
				continue
			}
			was, is := file[start:end], out[start:len(out)-(len(file)-end)]
			if readsAs(was, previous) && readsAs(is, version) {
				return nil
			}
		}
	}
	return fmt.Errorf("%q became %q, which is more than %q becoming %q",
		file[prefix:len(file)-suffix], out[prefix:len(out)-suffix], previous, version)
}

// common are the lengths of the longest equal beginning and, of the rest, end.
func common(a, b []byte) (prefix, suffix int) {
	for prefix < min(len(a), len(b)) && a[prefix] == b[prefix] {
		prefix++
	}
	for suffix < min(len(a), len(b))-prefix && a[len(a)-1-suffix] == b[len(b)-1-suffix] {
		suffix++
	}
	return prefix, suffix
}

// boundaries are the places near at, in one direction, where a value may start
// or end.
func boundaries(file []byte, at, direction int) []int {
	var places []int
	for i := at; i >= 0 && i <= len(file) && len(places) < 24; i += direction {
		edge := i == at || i == 0 || i == len(file)
		if !edge && direction < 0 {
			edge = strings.IndexByte(" \t\r\n,[{:-?\"'|>", file[i-1]) >= 0 || file[i] == '"' || file[i] == '\''
		}
		if !edge && direction > 0 {
			edge = strings.IndexByte(" \t\r\n,]}#:", file[i]) >= 0 || strings.IndexByte("\"'\r\n", file[i-1]) >= 0
		}
		if edge || i < len(file) && file[i] >= 0x80 {
			places = append(places, i)
		}
	}
	return places
}

// readsAs reports whether token, alone or as a list's item, is exactly one
// scalar with that value, without anchor, tag or comment.
func readsAs(token []byte, value string) bool {
	if len(bytes.TrimSpace(token)) == 0 {
		return value == "" && !bytes.ContainsAny(token, "\r\n")
	}
	if token[0] == '|' || token[0] == '>' {
		token = blockAlone(token)
	}
	for _, text := range [][]byte{token, append([]byte("- "), token...), append(append([]byte("["), token...), ']')} {
		if roots, err := decodeAll(text); err == nil && len(roots) == 1 {
			n := roots[0].Content[0]
			if n.Kind == goyaml.SequenceNode && len(n.Content) == 1 {
				n = n.Content[0]
			}
			if n.Kind == goyaml.ScalarNode && n.Value == value && n.Anchor == "" && n.Style&goyaml.TaggedStyle == 0 &&
				comments(roots[0]) == "" {
				return true
			}
		}
	}
	return false
}

// blockAlone is a block of text as it reads outside its file: its indentation counts
// from a parent that is not here, and a comment behind its header, which
// oneNode compares, is not the value's.
func blockAlone(token []byte) []byte {
	end := bytes.IndexAny(token, "\r\n")
	if end < 0 {
		end = len(token)
	}
	header, _, _ := bytes.Cut(bytes.Clone(token[:end]), []byte("#"))
	header = slices.DeleteFunc(header, func(c byte) bool { return '1' <= c && c <= '9' })
	return append(header, token[end:]...)
}

// oneNode compares the trees: exactly one scalar changed, from the old value
// to the new one.
func oneNode(file, out []byte, previous, version string) error {
	before, err := decodeAll(file)
	if err != nil {
		return fmt.Errorf("an edit of a file that does not parse: %w", err)
	}
	after, err := decodeAll(out)
	if err != nil {
		return fmt.Errorf("the result does not parse: %w", err)
	}
	was, is := flatten(before), flatten(after)
	if len(was) != len(is) {
		return errors.New("the result has other nodes")
	}
	changed := 0
	for i := range was {
		if was[i] == is[i] {
			continue
		}
		changed++
		if was[i].value != previous || is[i].value != version || was[i].anchor != is[i].anchor {
			return fmt.Errorf("node %d: %+v became %+v", i, was[i], is[i])
		}
	}
	if changed > 1 {
		return fmt.Errorf("%d nodes changed", changed)
	}
	if a, b := comments(before...), comments(after...); a != b {
		return fmt.Errorf("comments changed from %q to %q", a, b)
	}
	return nil
}

type flat struct {
	kind          goyaml.Kind
	tag           string
	value, anchor string
}

func flatten(nodes []*goyaml.Node) []flat {
	var all []flat
	for _, n := range nodes {
		all = append(all, flat{n.Kind, n.Tag, n.Value, n.Anchor})
		all = append(all, flatten(n.Content)...)
	}
	return all
}

// comments are the words of all of them: whether a blank line behind one belongs
// to it depends on what the parser finds around it.
func comments(nodes ...*goyaml.Node) string {
	var all []string
	for _, n := range nodes {
		for _, comment := range []string{n.HeadComment, n.LineComment, n.FootComment, comments(n.Content...)} {
			all = append(all, strings.TrimRight(comment, "\n"))
		}
	}
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "|")
}
