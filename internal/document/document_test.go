package document_test

import (
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/document"
)

// read reads a mapping with the keys name, kind, on and list.
func read(text string, most int) error {
	r := document.NewReader("f.yaml")
	var name, word string
	var on bool
	if root, ok := r.Root([]byte(text), most); ok {
		r.Mapping(root, "the file",
			document.Required("name", document.Text(&name, document.ParseName)),
			document.Optional("kind", document.Text(&word, document.OneOf("First", "Second"))),
			document.Optional("on", document.Bool(&on)),
			document.Optional("list", r.List("list", 2, document.Text(&word, document.ParseBranch))),
			document.Otherwise(func(key string) string {
				if key == "title" {
					return "a title is a name"
				}
				return ""
			}),
		)
	}
	return r.Err()
}

func TestRow32_EveryFaultOfADocumentHasItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"name: a":                       "",
		"name: a\non: TRUE\nlist: [b]":  "",
		"name: 1\non: yes":              "f.yaml:1:7: name: a text belongs here, not a number; a text of digits stands in quotes\nf.yaml:2:5: on: true or false belongs here, not a text",
		"list: [a, -b, c]\nname: a":     "f.yaml:1:7: list: 3 items, more than the 2 that are read",
		"list: [-b, refs/a]\nname: a":   "f.yaml:1:8: list: \"-b\" is no name of a branch\nf.yaml:1:12: list: \"refs/a\" is a full ref; write the branch alone, as in main",
		"name: a\ntitle: b":             "f.yaml:2:1: a title is a name",
		"name: a\n'': b":                "f.yaml:2:1: the file has no key \"\"; there are name, kind, on, list",
		"name: a\nlis: b":               "f.yaml:2:1: the file has no key \"lis\"; did you mean list?",
		"name: a\nu:p@h: b":             "f.yaml:2:1: the file has no key (a text with @ in it); there are name, kind, on, list",
		"on: true":                      "f.yaml:1:1: the file needs the key name",
		"name: a\nkind: first":          "f.yaml:2:7: kind: \"first\" is not known here; did you mean First?",
		"name: a\nname: b":              "f.yaml:2:1: key \"name\" appears twice in one mapping; it stands at 1:1 already",
		strings.Repeat("#", 100) + "\n": "f.yaml:1:1: the file is larger than the 100 bytes that are read",
	} {
		got := ""
		if err := read(text, 100); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestSameRepository(t *testing.T) {
	for _, same := range [][]string{
		{"https://h/a/b", "https://H:443/a/b.git", "ssh://git@h/a/b", "git@h:a/b.git", "http://h:80/a//b/"},
		{"https://h:3000/a/b", "http://h:3000/a/b.git"},
		{"/srv/a.git", "file:///srv/a", "/srv/../srv/a"},
		{"https://h/a"},
	} {
		for _, url := range same {
			if got, want := document.SameRepository(url), document.SameRepository(same[0]); got != want {
				t.Errorf("%s is %s, and %s is %s", url, got, same[0], want)
			}
			for _, other := range []string{"https://h/c", "https://h:3001/a/b", "https://i/a/b"} {
				if document.SameRepository(url) == document.SameRepository(other) {
					t.Errorf("%s is the same as %s", url, other)
				}
			}
		}
	}
}

func TestSuggest(t *testing.T) {
	many := strings.Split(strings.Repeat("longer ", 21), " ")
	for _, c := range []struct {
		word  string
		known []string
		want  string
	}{
		{"a", nil, "there is none"},
		{"a", []string{"main"}, "it is main"},
		{"mian", []string{"main", "maintenance"}, "there are main, maintenance"}, // half of it would be errors
		{"stagin", []string{"production", "staging"}, "did you mean staging?"},
		{"STAGING", []string{"production", "staging"}, "did you mean staging?"},
		{"prodcution", []string{"production", "staging"}, "did you mean production?"},
		{"a", many[:20], "there are " + strings.Join(many[:20], ", ")},
		{"a", many[:21], "there are " + strings.Join(many[:20], ", ") + " and more"},
	} {
		if got := document.Suggest(c.word, c.known); got != c.want {
			t.Errorf("%s: %s, want %s", c.word, got, c.want)
		}
	}
}
