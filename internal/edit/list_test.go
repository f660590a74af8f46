package edit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

var added = edit.Dependency{Name: "new", Version: "1.0.0", Repository: "https://a", Alias: "shiny"}

// lists are files whose list gets an entry where the mark stands, and loses it
// again. Lines of the entry are indented by as many blanks as there are.
var lists = map[string]struct{ marked, indent string }{
	"plain":                   {"apiVersion: v2\ndependencies:\n- name: web\n  version: 2.3.118\n  repository: https://a\n«»", ""},
	"indented":                {"dependencies:\n    - name: web   # ours\n      version: 2.3.118 # pinned\n«»    # the end\n\nversion: 0.1.0\n", "    "},
	"CRLF":                    {"dependencies:\r\n- name: web\r\n  version: 2.3.118\r\n«»version: 0.1.0\r\n", ""},
	"in the middle":           {"dependencies:\n- {name: web, version: 2.3.118}\n«»# comment\nversion: 0.1.0\n", ""},
	"byte order mark":         {"\uFEFFdependencies:\n- name: web\n«»", ""},
	"deep inside":             {"dependencies:\n- name: web\n  import-values:\n  - child: a\n    parent: >\n      long\n      text\n«»\nversion: 0.1.0\n", ""},
	"an alias last":           {"x: &r https://a\ndependencies:\n- name: web\n  repository: *r\n«»", ""},
	"an empty value last":     {"dependencies:\n- name: web\n  repository:\n«»", ""},
	"brackets last":           {"dependencies:\n- name: web\n  tags: [a, b]\n«»", ""},
	"nothing yet":             {"apiVersion: v2\nname: env\ndependencies:\n«»version: 0.1.0\n", ""},
	"an anchor in front":      {"dependencies: &all\n«»name: env\n", ""},
	"another document behind": {"dependencies:\n- name: web\n«»---\nother: 1\n", ""},
}

// TestRow33_EntriesComeAndGo: an entry is added at its place and removed again,
// and no other byte changes.
func TestRow33_EntriesComeAndGo(t *testing.T) {
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			file, at, _ := unmark(list.marked)
			line := "\n"
			if strings.Contains(file, "\r") {
				line = "\r\n"
			}
			item := strings.ReplaceAll(list.indent+"- name: new\n"+list.indent+"  version: 1.0.0\n"+list.indent+"  repository: https://a\n"+list.indent+"  alias: shiny\n", "\n", line)
			out, err := edit.AddDependency([]byte(file), added)
			if want := file[:at] + item + file[at:]; err != nil || string(out) != want {
				t.Fatalf("%v\n%q, want\n%q", err, out, want)
			}
			back, removed, err := edit.RemoveDependency(out, edit.Selector{Alias: "shiny"})
			if err != nil || string(back) != file || removed.Version != "1.0.0" {
				t.Errorf("%v, removed %q\n%q, want\n%q", err, removed.Version, back, file)
			}
		})
	}
}

// TestEntriesWhereThereWereNone: the list is made.
func TestEntriesWhereThereWereNone(t *testing.T) {
	const item = "dependencies:\n- name: new\n  version: 1.0.0\n  repository: https://a\n  alias: shiny\n"
	for file, want := range map[string]string{
		"":                                    item,
		"name: env\n":                         "name: env\n" + item,
		"name: env":                           "name: env\n" + item,
		"name: env\ndependencies: []\n":       "name: env\n" + item,
		"dependencies: []  # none\nname: e\n": "dependencies:  # none\n- name: new\n  version: 1.0.0\n  repository: https://a\n  alias: shiny\nname: e\n",
		"dependencies:":                       item,
	} {
		out, err := edit.AddDependency([]byte(file), added)
		if err != nil || string(out) != want {
			t.Errorf("%q: %v\n%q, want\n%q", file, err, out, want)
		}
	}
	out, err := edit.AddDependency([]byte("name: env\n"), edit.Dependency{Name: "new", Version: "1.0", Repository: "*x # y"})
	if want := "name: env\ndependencies:\n- name: new\n  version: \"1.0\"\n  repository: \"*x # y\"\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%q, want\n%q", err, out, want)
	}
}

// TestListsThatAreRefused: what has no lines of its own is changed by hand.
func TestListsThatAreRefused(t *testing.T) {
	for name, file := range map[string]string{
		"brackets":          "dependencies: [{name: web, version: 1.0.0}]\n",
		"JSON":              `{"dependencies": []}`,
		"JSON without":      `{"name": "env"}`,
		"over lines":        "dependencies:\n- {name: web,\n   version: 1.0.0\n  }\n",
		"dash on its line":  "dependencies:\n-\n  name: web\n",
		"tilde":             "dependencies: ~\n",
		"documents without": "name: env\n---\nother: 1\n",
		"of that name":      "dependencies:\n- name: shiny\n  version: 1.0.0\n",
		"no list":           "dependencies: web\n",
	} {
		if out, err := edit.AddDependency([]byte(file), added); out != nil || fault.Of(err).Kind != fault.KindRefused {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	for name, file := range map[string]string{
		"brackets":              "dependencies: [{name: web, version: 1.0.0}]\n",
		"over lines":            "dependencies:\n- {name: web,\n   version: 1.0.0\n  }\n",
		"an anchor others need": "dependencies:\n- name: web\n  repository: &r https://a\n- name: api\n  repository: *r\n",
		"one of two anchors":    "dependencies:\n- name: api\n  repository: &r https://one\n- name: web\n  repository: &r https://two\n- name: mail\n  repository: *r\n",
		"two on a line":         "? dependencies\n: - name: web\n  - name: api\n",
	} {
		if out, _, err := edit.RemoveDependency([]byte(file), edit.Selector{Name: "web"}); out != nil || fault.Of(err).Kind != fault.KindRefused {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if _, _, err := edit.RemoveDependency([]byte("dependencies:\n- name: web\n"), edit.Selector{Name: "api"}); !errors.Is(err, edit.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
}
