package edit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

const environments = "environments"

// newItem is what AddItem is asked for below; block and flow are how it is
// written behind a dash without indentation.
var newItem = []edit.Pair{{"name", "qa"}, {"branch", "1.0"}, {"after", []string{"staging", "yes"}}, {"frozen", true}, {"soak", nil}}

const (
	block = "- name: qa\n  branch: \"1.0\"\n  after: [staging, \"yes\"]\n  frozen: true\n"
	flow  = "- {name: qa, branch: \"1.0\", after: [staging, \"yes\"], frozen: true}\n"
)

func indented(by, item string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(item, "\n"), "\n", "\n"+by) + "\n"
}

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// itemLists are files whose list gets an item between the marks, in the form
// that stands there, and loses it again.
var itemLists = map[string]struct{ marked, after string }{
	"block":               {"kind: Environments\nenvironments:\n- name: staging\n  branch: main\n«" + block + "»", ""},
	"first":               {"environments:\n- name: staging\n«" + block + "»- name: production\n", "staging"},
	"middle":              {"environments:\n- name: a\n- name: staging   # ours\n  branch: main # the one\n«" + block + "»# about production\n- name: production\nother: 1\n", "staging"},
	"last by name":        {"environments:\n- name: a\n- name: staging\n  windows:\n  - {days: Mon-Thu}   # office\n«" + block + "»other: 1\n", "staging"},
	"indented":            {"environments:\n    - name: staging\n      windows:\n      - days: Fri\n«" + indented("    ", block) + "»    # the end\n\nother: 1\n", ""},
	"wide dash":           {"environments:\n-   name: staging\n«-   name: qa\n    branch: \"1.0\"\n    after: [staging, \"yes\"]\n    frozen: true\n»", ""},
	"flow item":           {"environments:\n- {name: staging, branch: main} # ours\n«" + flow + "»- name: production\n", "staging"},
	"flow item, padded":   {"environments:\n  - { name: staging }\n«  - { name: qa, branch: \"1.0\", after: [staging, \"yes\"], frozen: true }\n»", ""},
	"flow item, of lines": {"environments:\n- {name: staging,\n   after: [\n    a,\n   ],\n  } # ends\n«" + flow + "»other: 1\n", ""},
	"flow item, JSON":     {"environments:\n- {\"name\": \"staging\"}\n«- {\"name\": \"qa\", \"branch\": \"1.0\", \"after\": [\"staging\", \"yes\"], \"frozen\": true}\n»", ""},
	"block behind flow":   {"environments:\n- {name: a}\n- name: staging\n«" + block + "»", "staging"},
	"CRLF":                {crlf("environments:\n- name: staging\n  branch: main\n«" + block + "»# end\nother: 1\n"), ""},
	"byte order mark":     {"\uFEFFenvironments:\n- name: staging\n«" + block + "»", ""},
	"comment inside":      {"environments:\n- name: staging\n  # frozen: true\n  # soak: 1h\n«" + block + "»# about production\n- name: production\n", "staging"},
	"gaps":                {"environments:\n\n# stage\n- name: staging\n«\n" + block + "»\n# the real one\n- name: production\n\n# foot\n", "staging"},
	"gaps, last":          {"environments:\n- name: staging\n\n- name: production\n«\n" + block + "»\nother: 1\n", ""},
	"list in lines":       {"environments:\n- name: staging\n  after:\n  - a\n  - b # c\n«" + block + "»- name: production\n", "staging"},
	"text in lines":       {"environments:\n- name: staging\n  note: |\n    # no comment\n    text\n«" + block + "»\nother: 1\n", ""},
	"an empty value last": {"environments:\n- name: staging\n  after:\n«" + block + "»- name: b\n", "staging"},
	"an alias last":       {"x: &r main\nenvironments:\n- name: staging\n  branch: *r\n«" + block + "»", ""},
	"shared anchors":      {"environments:\n- &s\n  name: staging\n«" + block + "»- <<: *s\n  name: b\n", "staging"},
	"documents":           {"environments:\n- name: staging\n«" + block + "»---\nother: 1\n", ""},
}

// TestRow33_ItemsComeAndGo: an item is added in the style of its neighbour and
// removed again, and no other byte changes.
func TestRow33_ItemsComeAndGo(t *testing.T) {
	for name, list := range itemLists {
		t.Run(name, func(t *testing.T) {
			with, start, end := unmark(list.marked)
			without := with[:start] + with[end:]
			out, err := edit.AddItem([]byte(without), environments, list.after, newItem)
			if err != nil || string(out) != with {
				t.Fatalf("%v\n%q, want\n%q", err, out, with)
			}
			back, err := edit.RemoveItem(out, environments, "qa")
			if err != nil || string(back) != without {
				t.Errorf("%v\n%q, want\n%q", err, back, without)
			}
		})
	}
}

// TestItemsWhereThereWereNone: the list is made, in lines, and is "[]" again
// without its last item.
func TestItemsWhereThereWereNone(t *testing.T) {
	for file, want := range map[string]string{
		"":                                      "environments:\n" + block,
		"# head\n":                              "# head\nenvironments:\n" + block,
		"kind: Environments\n":                  "kind: Environments\nenvironments:\n" + block,
		"kind: Environments":                    "kind: Environments\nenvironments:\n" + block,
		"kind: Environments\r\n":                "kind: Environments\r\n" + crlf("environments:\n"+block),
		"environments: []\nkind: x\n":           "environments:\n" + block + "kind: x\n",
		"environments: []   # in order\nx: 1\n": "environments:   # in order\n" + block + "x: 1\n",
		"environments: []":                      "environments:\n" + block,
		"environments: null\nkind: x\n":         "environments:\n" + block + "kind: x\n",
		"environments: ~ # none\n":              "environments: # none\n" + block,
		"environments:\nkind: x\n":              "environments:\n" + block + "kind: x\n",
		"\uFEFFenvironments: []\r\n":            "\uFEFF" + crlf("environments:\n"+block),
	} {
		out, err := edit.AddItem([]byte(file), environments, "", newItem)
		if err != nil || string(out) != want {
			t.Errorf("%q: %v\n%q, want\n%q", file, err, out, want)
		}
	}
	for file, want := range map[string]string{
		"environments:\n- name: qa\n":                                    "environments: []\n",
		"environments:\n- name: qa":                                      "environments: []\n",
		"environments:   # in order\n# it\n- name: qa\n\nx: 1\n":         "environments: []   # in order\n\nx: 1\n",
		"\uFEFFenvironments:\r\n  - {name: qa}\r\nx: 1\r\n":              "\uFEFFenvironments: []\r\nx: 1\r\n",
		"environments: &all\n- name: qa\n":                               "environments: &all []\n",
		"environments:\n\n# the list\n\n# its item\n- name: qa\n  # x\n": "environments: []\n\n# the list\n\n",
	} {
		out, err := edit.RemoveItem([]byte(file), environments, "qa")
		if err != nil || string(out) != want {
			t.Errorf("%q: %v\n%q, want\n%q", file, err, out, want)
		}
	}
}

// TestItemsBehindALineThatDoesNotEnd: the line ends, and the new one does.
func TestItemsBehindALineThatDoesNotEnd(t *testing.T) {
	for file, want := range map[string]string{
		"environments:\n- name: a # x": "environments:\n- name: a # x\n" + block,
		"environments:\r\n- {name: a}": "environments:\r\n- {name: a}\r\n" + crlf(flow),
	} {
		out, err := edit.AddItem([]byte(file), environments, "", newItem)
		if err != nil || string(out) != want {
			t.Errorf("%q: %v\n%q, want\n%q", file, err, out, want)
		}
	}
}

// TestItemsTakeTheirComments: what is said about an item goes with it, and
// nothing else.
func TestItemsTakeTheirComments(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"above":           {"environments: # all\n# stage\n- name: a\n# test\n# bed\n- name: qa # old\n  # soak: 1h\n# real\n- name: b\n", "environments: # all\n# stage\n- name: a\n# real\n- name: b\n"},
		"of another":      {"environments:\n- name: a\n  # of a\n- name: qa\n", "environments:\n- name: a\n  # of a\n"},
		"behind a gap":    {"environments:\n- name: a\n# section\n\n- name: qa\n- name: b\n", "environments:\n- name: a\n# section\n\n- name: b\n"},
		"first":           {"environments:\n# of qa\n- name: qa\n\n# of b\n- name: b\n", "environments:\n# of b\n- name: b\n"},
		"between gaps":    {"environments:\n- name: a\n\n- name: qa\n\n- name: b\n", "environments:\n- name: a\n\n- name: b\n"},
		"gap behind":      {"environments:\n- name: a\n- name: qa\n\n- name: b\n", "environments:\n- name: a\n\n- name: b\n"},
		"no final break":  {"environments:\n- name: a\n\n- name: qa", "environments:\n- name: a\n"},
		"old Mac breaks":  {"environments:\r- name: a\r# qa\r- name: qa\r- name: b\r", "environments:\r- name: a\r- name: b\r"},
		"comments behind": {"environments:\n- name: a\n- name: qa\n# end\n\nx: 1\n", "environments:\n- name: a\n# end\n\nx: 1\n"},
	} {
		out, err := edit.RemoveItem([]byte(test.file), environments, "qa")
		if err != nil || string(out) != test.want {
			t.Errorf("%s: %v\n%q, want\n%q", name, err, out, test.want)
		}
	}
}

const head = "environments:\n- name: a\n- name: qa\n"

// itemChanges are files in which pairs are set in the item qa: the marks stand
// around what changes, became is what stands there then.
var itemChanges = map[string]struct {
	marked, became string
	pairs          []edit.Pair
}{
	"value":                      {head + "  branch: «main»   # ours\n  soak: 1h\n", "next", []edit.Pair{{"branch", "next"}}},
	"double quotes":              {head + "  branch: «\"main\"»\n", "\"next\"", []edit.Pair{{"branch", "next"}}},
	"single quotes":              {head + "  branch: «'main'» # x\n", "'it''s'", []edit.Pair{{"branch", "it's"}}},
	"needs quotes":               {head + "  branch: «main»\n", "\"1.0\"", []edit.Pair{{"branch", "1.0"}}},
	"block of text":              {head + "  branch: «|- # x\n    main»\n", "|- # x\n    next", []edit.Pair{{"branch", "next"}}},
	"no value":                   {head + "  branch:«» # x\n", " next", []edit.Pair{{"branch", "next"}}},
	"no value, last":             {head + "  branch:«»", " true", []edit.Pair{{"branch", true}}},
	"Boolean":                    {head + "  frozen: «true» # holidays\n  branch: x\n", "false", []edit.Pair{{"frozen", false}}},
	"text to Boolean":            {head + "  frozen: «\"true\"»\n", "true", []edit.Pair{{"frozen", true}}},
	"same":                       {head + "  frozen: True\n  branch: 'x'\n  after: [ 'a' ]\n  soak: |-\n    1h\n«»", "", []edit.Pair{{"frozen", true}, {"branch", "x"}, {"after", []string{"a"}}, {"soak", "1h"}, {"path", nil}}},
	"same list in lines":         {head + "  after:\n  - a # x\n  - 'b'\n«»", "", []edit.Pair{{"after", []string{"a", "b"}}}},
	"list":                       {head + "  after: «[a, 'b']» # x\n", "['b', c d]", []edit.Pair{{"after", []string{"b", "c d"}}}},
	"list, quoted":               {head + "  after: «[ \"a\" ]» # x\n", "[ \"a\", \"b\" ]", []edit.Pair{{"after", []string{"a", "b"}}}},
	"list, emptied":              {head + "  after: «[a]» # x\n", "[]", []edit.Pair{{"after", []string(nil)}}},
	"list, filled":               {head + "  after: «[]» # x\n", "[a, \"yes\"]", []edit.Pair{{"after", []string{"a", "yes"}}}},
	"text to list":               {head + "  recordKey: «'a b'» # x\n", "['a b', 'c']", []edit.Pair{{"recordKey", []string{"a b", "c"}}}},
	"list to text":               {head + "  recordKey: «['a b', c]» # x\n", "'a b'", []edit.Pair{{"recordKey", "a b"}}},
	"list in lines":              {head + "  after:« # x\n  - a\n  # was\n  - b # y»\n  soak: 1h\n", " [a, c] # x", []edit.Pair{{"after", []string{"a", "c"}}}},
	"list in lines, last":        {head + "  after:«\n    - a\n    - b»", " [c]", []edit.Pair{{"after", []string{"c"}}}},
	"list in lines to text":      {crlf(head + "  recordKey:«\n  - a»\n- name: b\n"), " k", []edit.Pair{{"recordKey", "k"}}},
	"new key":                    {head + "  branch: main # x«»\n  # soak: 2h\n- name: b\n", "\n  soak: 1h", []edit.Pair{{"soak", "1h"}}},
	"new key, last":              {"environments:\n  -  name: qa«»", "\n     soak: 1h\n     frozen: false", []edit.Pair{{"soak", "1h"}, {"frozen", false}}},
	"new key, CRLF":              {crlf(head + "  windows:\n  - days: Fri # x«»\n- name: b\n"), "\r\n  after: [a, b]", []edit.Pair{{"after", []string{"a", "b"}}}},
	"new key, text in lines":     {head + "  note: >\n    # a\n    b«»\n\n- name: b\n", "\n  soak: 1h", []edit.Pair{{"soak", "1h"}}},
	"new key, byte order mark":   {"\uFEFFenvironments:\n- name: qa«»\n", "\n  soak: 1h", []edit.Pair{{"soak", "1h"}}},
	"new key, quoted":            {"environments:\n- \"name\": qa«»\n", "\n  \"after\": [\"a\"]", []edit.Pair{{"after", []string{"a"}}}},
	"key gone":                   {head + "«  soak: 1h # x\n»  branch: main\n", "", []edit.Pair{{"soak", nil}}},
	"key gone, last":             {head + "  branch: main«\n  soak: 1h # x»", "", []edit.Pair{{"soak", nil}}},
	"key gone, list":             {head + "«  windows: # x\n  - days: Fri\n    hours: \"09:00-16:00\"\n»  branch: main\n", "", []edit.Pair{{"windows", nil}}},
	"key gone, at the dash":      {"environments:\n- «soak: 1h # x\n  »name: qa\n", "", []edit.Pair{{"soak", nil}}},
	"key gone, empty":            {head + "«  soak:\n»- name: b\n", "", []edit.Pair{{"soak", nil}}},
	"several":                    {head + "  soak: «1h\n  branch: main # x\n  path: .»\n", "2h\n  path: .\n  frozen: true", []edit.Pair{{"frozen", true}, {"branch", nil}, {"soak", "2h"}}},
	"new name":                   {"environments:\n- name: «qa» # x\n- name: b\n", "test", []edit.Pair{{"name", "test"}, {"soak", nil}}},
	"flow":                       {"environments:\n- {name: qa, branch: «main», soak: 1h} # x\n", "\"a: b\"", []edit.Pair{{"branch", "a: b"}}},
	"flow, new key":              {"environments:\n- { name: qa, windows: [{days: Fri}]«» } # x\n", ", soak: 1h", []edit.Pair{{"soak", "1h"}}},
	"flow, new key and comma":    {"environments:\n- {name: qa«»,} # x\n", ", soak: 1h", []edit.Pair{{"soak", "1h"}}},
	"flow, no value":             {"environments:\n- {name: qa, soak: «», branch: x}\n", "1h", []edit.Pair{{"soak", "1h"}}},
	"flow, key gone":             {"environments:\n- {name: qa«, soak: 1h», branch: x}\n", "", []edit.Pair{{"soak", nil}}},
	"flow, last key gone":        {"environments:\n- {name: qa«, after: [a, {b: c}]» }\n", "", []edit.Pair{{"after", nil}}},
	"flow, first key gone":       {"environments:\n- { «soak: 1h, »name: qa }\n", "", []edit.Pair{{"soak", nil}}},
	"flow of lines":              {"environments:\n- {\n    name: qa, # x\n    branch: main, # y\n«    soak: 1h, # z\n»    path: .\n  }\n", "", []edit.Pair{{"soak", nil}}},
	"flow of lines, last":        {"environments:\n- {\n    name: qa«, # x\n    soak: 1h # z»\n  }\n", " # x", []edit.Pair{{"soak", nil}}},
	"flow of lines, new key":     {"environments:\n- {\n    name: qa, # x\n    branch: main, # y«»\n  }\n", "\n    soak: 1h,", []edit.Pair{{"soak", "1h"}}},
	"flow of lines, brace":       {"environments:\n- {\n    name: qa«»}\n", ",\n    soak: 1h", []edit.Pair{{"soak", "1h"}}},
	"JSON":                       {"{\"environments\": [{\"name\": \"a\"}, {\"name\": \"qa\"«»}]}", ", \"soak\": \"1h\", \"after\": [\"a\"], \"frozen\": true", []edit.Pair{{"soak", "1h"}, {"after", []string{"a"}}, {"frozen", true}}},
	"JSON of lines":              {"{\n  \"environments\": [\n    {\n      \"name\": \"qa\",\n      \"frozen\": «false»\n    }\n  ]\n}\n", "true,\n      \"soak\": \"1h\"", []edit.Pair{{"frozen", true}, {"soak", "1h"}}},
	"JSON, text where none was":  {"{\"environments\": [{\"name\": \"qa\", \"soak\": «null»}]}", "\"1h\"", []edit.Pair{{"soak", "1h"}}},
	"other items may share":      {"environments:\n- &a\n  name: a\n- <<: *a\n  name: b\n- name: qa\n  soak: «1h»\n", "2h", []edit.Pair{{"soak", "2h"}}},
	"unusual line breaks":        {"x: 'a\u2028b\u0085c'\nenvironments:\n- {name: qa, after: «[]»}\n", "[b]", []edit.Pair{{"after", []string{"b"}}}},
	"wide characters in a line":  {"environments: [{desc: 値, name: qa, after: «[値]»}]\n", "[値, b]", []edit.Pair{{"after", []string{"値", "b"}}}},
	"list of text between lines": {"environments:\n- name: qa\n  after: «[\n    a,\n    b\n  ]» # x\n", "[b]", []edit.Pair{{"after", []string{"b"}}}},
}

// TestRow33_ItemsAreSet: a value is replaced in its place, and setting it once
// more changes nothing.
func TestRow33_ItemsAreSet(t *testing.T) {
	for name, test := range itemChanges {
		t.Run(name, func(t *testing.T) {
			file, start, end := unmark(test.marked)
			out, err := edit.SetItem([]byte(file), environments, "qa", test.pairs)
			if want := file[:start] + test.became + file[end:]; err != nil || string(out) != want {
				t.Fatalf("%v\n%q, want\n%q", err, out, want)
			}
			name := "qa"
			if strings.Contains(string(out), "name: test") {
				name = "test"
			}
			again, err := edit.SetItem(out, environments, name, test.pairs)
			if err != nil || string(again) != string(out) {
				t.Errorf("once more: %v\n%q, want\n%q", err, again, out)
			}
		})
	}
}

// TestItemsThatAreRefused: what cannot be had without damage, or whose meaning
// is not the item's alone, is changed by hand.
func TestItemsThatAreRefused(t *testing.T) {
	soak := func(file []byte) ([]byte, error) {
		return edit.SetItem(file, environments, "qa", []edit.Pair{{"soak", "1h"}})
	}
	gone := func(file []byte) ([]byte, error) {
		return edit.SetItem(file, environments, "qa", []edit.Pair{{"soak", nil}})
	}
	remove := func(file []byte) ([]byte, error) { return edit.RemoveItem(file, environments, "qa") }
	add := func(file []byte) ([]byte, error) {
		return edit.AddItem(file, environments, "", []edit.Pair{{"name", "new"}})
	}
	for name, test := range map[string]struct {
		file string
		edit func([]byte) ([]byte, error)
		says string
		is   error
	}{
		"no such item":            {"environments:\n- name: a\n- name: b\n", soak, `2:1: no item of environments is called "qa"`, edit.ErrNotFound},
		"no such item to go":      {"environments: []\n", remove, `1:15: no item of environments is called "qa"`, edit.ErrNotFound},
		"no list":                 {"", remove, `1:1: no item of environments is called "qa"`, edit.ErrNotFound},
		"twice":                   {"environments:\n- name: qa\n- name: qa\n", soak, `3:3: environments would have two items called "qa", one of them at 2:3`, edit.ErrDuplicate},
		"others twice":            {"environments:\n- name: a\n- name: 'a'\n- name: qa\n", remove, "3:3: ", edit.ErrDuplicate},
		"there already":           {"environments:\n- name: new\n", add, `would have two items called "new"`, edit.ErrDuplicate},
		"no name":                 {"environments:\n- name: qa\n- branch: main\n", soak, "3:3: item 2 of environments has no name", nil},
		"no mapping":              {"environments:\n- qa\n", remove, "2:3: item 1 of environments has no name", nil},
		"a mapping":               {"environments: {qa: 1}\n", add, "1:15: environments is a mapping, not a list", nil},
		"an alias":                {"x: &x\n- name: qa\nenvironments: *x\n", soak, "3:15: environments is the alias *x", nil},
		"an alias as item":        {"x: &x {name: qa}\nenvironments:\n- *x\n", soak, "3:3: the alias *x stands in qa", nil},
		"an alias inside":         {"x: &x main\nenvironments:\n- name: qa\n  branch: *x\n", soak, "4:11: the alias *x stands in qa", nil},
		"an alias inside, to go":  {"x: &x main\nenvironments:\n- name: qa\n  branch: *x\n", remove, "4:11: the alias *x stands in qa", nil},
		"an anchor":               {"environments:\n- &x\n  name: qa\n", soak, "2:3: the anchor &x stands in qa", nil},
		"an anchor inside":        {"environments:\n- name: qa\n  branch: &x main\n", remove, "3:11: the anchor &x stands in qa", nil},
		"merged":                  {"x: &x {soak: 2h}\nenvironments:\n- name: qa\n  <<: *x\n", gone, "4:3: qa merges another mapping (<<)", nil},
		"a list of mappings":      {"environments:\n- name: qa\n  soak:\n  - {a: b}\n", soak, "soak is a list of more than texts", nil},
		"a mapping as value":      {"environments:\n- name: qa\n  soak: {a: b}\n", soak, "3:9: a mapping stands here", nil},
		"brackets":                {"environments: [{name: qa}]\n", add, "1:15: cannot change the list of environments here: it stands between brackets", nil},
		"brackets, to go":         {"environments: [{name: qa}, {name: a}]\n", remove, "it stands between brackets", nil},
		"JSON":                    {`{"environments": []}`, add, "has no lines of its own", nil},
		"dash on its line":        {"environments:\n-\n  name: qa\n", remove, "3:3: the item has no lines to itself", nil},
		"documents without":       {"a: 1\n---\nb: 1\n", add, "has no lines of its own", nil},
		"no mapping at all":       {"- a\n", add, "1:1: the file is a sequence, not a mapping", nil},
		"nothing with a tag":      {"!!!", add, "1:1: the file is a scalar, not a mapping", nil},
		"a key among comments":    {"environments:\n- soak: 1h\n  # about qa\n  name: qa\n", gone, "2:3: soak shares its lines", nil},
		"a key among braces":      {"environments:\n- {name: qa # x\n  , soak: 1h}\n", gone, "soak shares its lines", nil},
		"a tag":                   {"environments:\n- name: qa\n  soak: !duration 2h\n", soak, "2:1: cannot change the list of environments here: something else", nil},
		"a key without its value": {"environments:\n- {name: qa, soak}\n", soak, "", nil},
		"kept line breaks":        {"environments:\n- name: qa\n  note: |+\n    a\n\n- name: b\n", soak, "", nil},
		"what is no YAML":         {"environments:\n- name: \"qa\n", soak, "2:9: ", nil},
	} {
		out, err := test.edit([]byte(test.file))
		if out != nil || err == nil || !strings.Contains(err.Error(), test.says) || test.is != nil && !errors.Is(err, test.is) || fault.Of(err).Kind != fault.KindRefused {
			t.Errorf("%s: %v (%v), want %s\n%s", name, err, fault.Of(err).Kind, test.says, out)
		}
	}
	if _, err := edit.AddItem([]byte("environments:\n- name: a\n"), environments, "b", []edit.Pair{{"name", "new"}}); !errors.Is(err, edit.ErrNotFound) {
		t.Errorf("behind one that is not there: %v", err)
	}
	if _, err := edit.SetItem([]byte("environments:\n- name: a\n- name: b\n"), environments, "b", []edit.Pair{{"name", "a"}}); !errors.Is(err, edit.ErrDuplicate) {
		t.Errorf("the name of another: %v", err)
	}
}

func TestPairsThatAreNone(t *testing.T) {
	file := []byte("environments:\n- name: qa\n")
	for name, pair := range map[string]edit.Pair{
		"a number": {"soak", 3}, "no key": {"", "x"}, "no name": {"name", nil}, "an empty name": {"name", ""}, "a list as name": {"name", []string{"a"}},
		"not UTF-8": {"soak", "\xff"}, "not UTF-8 in a list": {"after", []string{"\xff"}}, "too long": {"soak", strings.Repeat("a", 10_000)}, "a long key": {strings.Repeat("a", 10_000), "x"},
		"twice": {"branch", "x"},
	} {
		pairs := []edit.Pair{{"branch", "main"}, pair}
		if out, err := edit.SetItem(file, environments, "qa", pairs); out != nil || fault.Of(err).Kind != fault.KindUsage {
			t.Errorf("%s: %v, want a usage error", name, err)
		}
		if out, err := edit.AddItem(file, environments, "", append(pairs, edit.Pair{Key: "name", Value: "new"})); out != nil || fault.Of(err).Kind != fault.KindUsage {
			t.Errorf("%s: %v, want a usage error", name, err)
		}
	}
	if _, err := edit.AddItem(file, environments, "", []edit.Pair{{"branch", "main"}}); fault.Of(err).Kind != fault.KindUsage {
		t.Errorf("an item without a name: %v", err)
	}
}
