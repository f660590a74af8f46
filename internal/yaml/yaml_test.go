package yaml_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

func TestRow32_FaultsCarryTheirPlace(t *testing.T) {
	for name, test := range map[string]struct {
		text         string
		line, column int
		says         string
	}{
		"tab as indentation": {"a:\n\tb: 1\n", 2, 1, "tab"},
		"tab behind blanks":  {"a:\n  b: 1\n \tc: 2\n", 3, 2, "tab"},
		"duplicate key":      {"name: a\nversion: 1\nname: b\n", 3, 1, `key "name" appears twice in one mapping; it stands at 1:1`},
		"duplicate, nested":  {"dependencies:\n- name: a\n  version: 1\n  version: 2\n", 4, 3, "it stands at 3:3"},
		"duplicate, flow":    {"a: {b: 1, b: 2}\n", 1, 11, "appears twice"},
		"duplicate, quoted":  {"a: 1\n\"a\": 2\n", 2, 1, "appears twice"},
		"duplicate, CRLF":    {"a: 1\r\nb: 2\r\na: 3\r\n", 3, 1, "appears twice"},
		"second document":    {"a: 1\n---\nb: 1\nb: 2\n", 4, 1, "appears twice"},
		"wrong indentation":  {"a:\n  b: 1\n  c: 2\n d: 3\n", 4, 2, ""},
		"quote left open":    {"a: 1\nb: \"two\nc: 3\n", 2, 4, ""},
		"flow left open":     {"a: 1\nb: {c: 1\n", 2, 4, ""},
		"reserved character": {"a: 1\nb: @x\n", 2, 4, "cannot start any token"},
		"control character":  {"a: 1\nb: \x01\n", 2, 4, "control characters"},
		"unknown alias":      {"a: *nowhere\n", 1, 5, "nowhere"},
		"UTF-16":             {"\xff\xfea\x00", 1, 1, "UTF-16"},
		"not UTF-8":          {"a: \xff\n", 1, 1, "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := yaml.Parse([]byte(test.text))
			var place *yaml.Error
			if !errors.As(err, &place) {
				t.Fatalf("Parse = %v, want an error with its place", err)
			}
			if place.Line != test.line || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Parse = %v, want %d:%d and %q", err, test.line, test.column, test.says)
			}
			if place.Column < 1 || (test.says != "" && place.Column != test.column && name != "unknown alias") {
				t.Errorf("Parse = %v, want column %d", err, test.column)
			}
			if got := fault.Of(err); got.Kind != fault.KindRefused || got.Reason != yaml.Malformed {
				t.Errorf("fault = %+v, want %s, refused", got, yaml.Malformed)
			}
		})
	}
}

func TestRow34_LargeDeepAndExpandingTexts(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 40; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9))
	}
	for name, test := range map[string]struct {
		text    string
		refused bool
	}{
		"100 MB":                {strings.Repeat("a: 1 # comment\n", 7_000_000), true},
		"a byte too many":       {strings.Repeat(" ", yaml.MaxSize+1), true},
		"10,000 flow levels":    {strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), true},
		"1,000,000 flow levels": {strings.Repeat("[", 1_000_000), true},
		"10,000 block levels":   {strings.Repeat("- ", 10_000) + "x", true},
		"300 mapping levels":    {strings.Repeat("{a: ", 300) + strings.Repeat("}", 300), true},
		"aliases of aliases":    {bomb, false},
		"largest file":          {strings.Repeat("k: v, ", 1) + strings.Repeat(" ", yaml.MaxSize-6), false},
		"many values":           {"[" + strings.Repeat("a,", yaml.MaxSize/2-1) + "]", false},
	} {
		t.Run(name, func(t *testing.T) {
			start, before := time.Now(), allocated()
			_, err := yaml.Parse([]byte(test.text))
			if (err != nil) != test.refused {
				t.Errorf("Parse = %.200v, want refused = %v", err, test.refused)
			}
			if took, used := time.Since(start), allocated()-before; took > 20*time.Second || used > 1<<30 {
				t.Errorf("took %v and %d MB", took, used>>20)
			}
		})
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestRecursiveAliasIsNotFollowed(t *testing.T) {
	text, err := yaml.Parse([]byte("a: &a\n  b: *a\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := text.Documents()[0].Get("a")
	if b := a.Get("b"); b.Kind() != yaml.Alias || b.Target() != a {
		t.Errorf("b is a %v", b.Kind())
	}
}

func TestSpans(t *testing.T) {
	for name, marked := range map[string]string{
		"plain":                 "v: «1.0.0»\n",
		"plain, comment":        "v: «1.0.0» # note\n",
		"plain, blanks behind":  "v: «1.0.0»  \t \n",
		"plain with hash":       "v: «a#b»\n",
		"plain over lines":      "v: «one\n  two\n\n  three»\n",
		"plain, CRLF":           "v: «one\r\n  two»\r\nw: 1\r\n",
		"plain in flow":         "v2: {v: «1.0.0», w: 1}\n",
		"double":                "v: «\"1.0.0\"» # note\n",
		"double with escapes":   "v: «\"a\\\"b\\\\\"» # \"\n",
		"double over lines":     "v: «\"one\n  two\"»\n",
		"single":                "v: «'it''s'» # '\n",
		"no value":              "v:«» # note\nw: 1\n",
		"no value at the end":   "v:«»",
		"anchor":                "v: &x «1.0.0»\n",
		"anchor and no value":   "v: &x«»\nw: 1\n",
		"tag":                   "v: !!str «1.0.0»\n",
		"long tag":              "v: !<tag:yaml.org,2002:str> «1.0.0»\n",
		"non-specific tag":      "v: ! «1.0.0»\n",
		"anchor and tag":        "v: &x !!str «\"1.0.0\"»\n",
		"tag and anchor":        "v: !!str   &x «1.0.0»\n",
		"anchor, value below":   "v: &x # note\n  «1.0.0»\n",
		"byte order mark":       "\uFEFFv: «1.0.0»\n",
		"wide characters":       "ключ: 値\nv: «1.0.0»\n",
		"wide on the same line": "{ключ: 値, v: «1.0.0»}\n",
		"literal":               "v: «|\n  one\n  two»\nw: 1\n",
		"literal, comment":      "v: «|- # note\n   one\n    two»\n\n# end\nw: 1\n",
		"folded at the end":     "v: «>+\n  one\n\n  two»\n\n",
		"literal, CRLF":         "v: «|-\r\n  one»\r\nw: 1\r\n",
		"explicit key":          "? v\n: «1.0.0»\n",
		"old line breaks":       "a: b\rv: «1.0.0»\r",
		"unusual line breaks":   "a: 'x\u2028  y'\nv: «1.0.0»\n",
	} {
		t.Run(name, func(t *testing.T) {
			before, rest, _ := strings.Cut(marked, "«")
			value, after, _ := strings.Cut(rest, "»")
			text, err := yaml.Parse([]byte(before + value + after))
			if err != nil {
				t.Fatal(err)
			}
			span, err := text.Span(find(text.Documents()[0]))
			if err != nil {
				t.Fatal(err)
			}
			if span.Start != len(before) || span.End != len(before)+len(value) {
				t.Errorf("span = %q, want %q", text.Source()[span.Start:span.End], value)
			}
		})
	}
}

// find is the value of the key v, wherever it stands.
func find(n yaml.Node) yaml.Node {
	if v := n.Get("v"); v.Exists() {
		return v
	}
	for _, pair := range n.Pairs() {
		if v := find(pair.Value); v.Exists() {
			return v
		}
	}
	return yaml.Node{}
}

func TestReadsAs(t *testing.T) {
	for value, want := range map[string][2]bool{ // string, number
		"2.3.118": {true, false}, "v1.0.0-rc.1+build": {true, false}, "abc": {true, false}, "a b": {true, false},
		"1.0": {false, false}, "1.10": {false, false}, "0.5": {false, true}, "3": {false, true}, "-7": {false, true},
		"1e3": {false, false}, "12e4567": {false, false}, "-": {false, false}, "0x10": {false, false}, "0o7": {false, false}, "007": {false, false}, "1_000": {false, false},
		"true": {false, true}, "yes": {false, false}, "n": {false, false}, "null": {false, false}, "~": {false, false},
		"1:30": {false, false}, "2024-01-02": {false, false}, "": {false, false}, ".inf": {false, false}, "<<": {false, false},
		"a: b": {false, false}, "a #b": {false, false}, "- a": {false, false}, "*a": {false, false}, "&a b": {false, false},
		"!a": {false, false}, "{a}": {false, false}, "a,b": {false, false}, "a]": {false, false}, "a\nb": {false, false}, " a": {false, false},
	} {
		if got := [2]bool{yaml.ReadsAsString(value), yaml.ReadsAsNumber(value)}; got != want {
			t.Errorf("%q: reads as string, number = %v, want %v", value, got, want)
		}
	}
}

func TestQuotesReadBack(t *testing.T) {
	for _, value := range []string{"", "a", `a"b\c`, "it's", "a\nb\tc", "\u0000\u0007\u0085\u2028\ufeff", "値", "\U0001F600", "\U000E0001", "\u00a0"} {
		if got := readBack(t, yaml.DoubleQuote(value)); got != value {
			t.Errorf("double quotes: %q reads back as %q", value, got)
		}
		if quoted, ok := yaml.SingleQuote(value); ok && readBack(t, quoted) != value {
			t.Errorf("single quotes: %q reads back as %q", value, readBack(t, quoted))
		}
	}
}

func readBack(t *testing.T, scalar string) string {
	t.Helper()
	text, err := yaml.Parse([]byte("v: " + scalar + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return text.Documents()[0].Get("v").Value()
}
