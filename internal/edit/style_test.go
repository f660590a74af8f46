package edit_test

import (
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// styles are files in every style that people write. The marks « and » stand
// around the version of the dependency "web" at repository https://a; became
// is what stands between them after the version was set to 2.3.119.
var styles = map[string]struct {
	marked, became string
	survives       bool // a round trip through yaml.v3 would keep the rest of it, too
}{
	"plain":                              {"apiVersion: v2\nname: env\nversion: 0.1.0\ndependencies:\n    - name: web\n      version: «2.3.118»\n      repository: https://a\n", "2.3.119", true},
	"two blanks":                         {"apiVersion: v2\nname: env\ndependencies:\n- name: api\n  version: 1.0.0\n  repository: https://a\n- name: web\n  version: «2.3.118»\n  repository: https://a\n", "2.3.119", false},
	"comments":                           {"# head\n\ndependencies:   # the services\n  # first\n- name: web   # ours\n  version: «2.3.118»    # pinned\n  repository: https://a\n  # end\n\n\n# foot\n", "2.3.119", false},
	"double quotes":                      {"dependencies:\n- name: \"web\"\n  version: «\"2.3.118\"»\n  repository: \"https://a\"\n", "\"2.3.119\"", false},
	"single quotes":                      {"dependencies:\n- {name: 'web', version: «'2.3.118'», repository: 'https://a'}\n", "'2.3.119'", false},
	"CRLF":                               {"dependencies:\r\n- name: web\r\n  version: «2.3.118»\r\n  repository: https://a\r\n", "2.3.119", false},
	"old Mac line ends":                  {"dependencies:\r- name: web\r  version: «2.3.118»\r  repository: https://a\r", "2.3.119", false},
	"mixed line ends":                    {"dependencies:\r\n- name: web\n  version: «2.3.118»\r\n  repository: https://a\n", "2.3.119", false},
	"byte order mark":                    {"\uFEFFdependencies:\n- name: web\n  version: «2.3.118»\n  repository: https://a\n", "2.3.119", false},
	"byte order mark, first line":        {"\uFEFF{dependencies: [{name: web, version: «2.3.118», repository: \"https://a\"}]}\n", "2.3.119", false},
	"no final newline":                   {"dependencies:\n- name: web\n  repository: https://a\n  version: «2.3.118»", "2.3.119", false},
	"blank lines at the end":             {"dependencies:\n- name: web\n  repository: https://a\n  version: «2.3.118»\n\n\n", "2.3.119", false},
	"document marks":                     {"%YAML 1.1\n---\ndependencies:\n- name: web\n  version: «2.3.118»\n  repository: https://a\n...\n", "2.3.119", false},
	"several documents":                  {"---\ndependencies:\n- name: web\n  version: «2.3.118»\n  repository: https://a\n---\nother: {a: 1}\n--- # third\n- x\n", "2.3.119", false},
	"anchor on the value":                {"dependencies:\n- name: web\n  version: &v «2.3.118»\n  repository: &r https://a\n- name: api\n  version: 1.0.0\n  repository: *r\n", "2.3.119", false},
	"anchor with alias":                  {"dependencies:\n- name: web\n  version: &v «\"2.3.118\"»  # both\n  repository: https://a\n- {name: api, version: *v, repository: b}\n", "\"2.3.119\"", false},
	"merged mapping":                     {"defaults: &d {repository: https://a}\ndependencies:\n- <<: *d\n  name: web\n  version: «2.3.118»\n", "2.3.119", false},
	"flow maps":                          {"dependencies: [ {name: api,version: 1.0.0} , { name: web , version: «2.3.118» , repository: \"https://a\" } ]\n", "2.3.119", false},
	"flow over lines":                    {"dependencies: [\n  {\n    name: web,\n    version: «2.3.118», # pinned\n    repository: 'https://a'\n  },\n]\n", "2.3.119", false},
	"flow, last":                         {"dependencies: [{name: web, repository: 'https://a', version: «2.3.118»}]", "2.3.119", false},
	"JSON":                               {"{\"dependencies\":[{\"name\":\"web\",\"version\":«\"2.3.118\"»,\"repository\":\"https://a\"}]}", "\"2.3.119\"", false},
	"odd indentation":                    {"dependencies:\n         -    name:   web\n              version:      «2.3.118»\n              repository:\n                            https://a\n", "2.3.119", false},
	"value on the next line":             {"dependencies:\n- name: web\n  version:\n     # pinned\n     «2.3.118»\n  repository: https://a\n", "2.3.119", false},
	"tabs between":                       {"dependencies:\n- name: web\n  version:\t«2.3.118»\t# pinned\n  repository: https://a\n", "2.3.119", false},
	"blanks behind":                      {"dependencies:   \n- name: web  \n  version: «2.3.118»   \n  repository: https://a\t\n", "2.3.119", false},
	"tag":                                {"dependencies:\n- name: web\n  version: !!str «2.3.118»\n  repository: https://a\n", "2.3.119", false},
	"tag and anchor":                     {"dependencies:\n- name: web\n  version: &v !!str «\"2.3.118\"»\n  repository: https://a\n", "\"2.3.119\"", false},
	"long tag":                           {"dependencies:\n- !!map\n  name: web\n  version: !<tag:yaml.org,2002:str> «2.3.118»\n  repository: https://a\n", "2.3.119", false},
	"block scalars around":               {"description: |-2\n    kept\n   as: it is  \n\ndependencies:\n- name: web\n  condition: >-\n     web\n     enabled\n  version: «2.3.118»\n  repository: https://a\nnotes: |+\n  end\n\n", "2.3.119", false},
	"value as a block":                   {"dependencies:\n- name: web\n  version: «|- # pinned\n      2.3.118»\n  repository: https://a\n", "|- # pinned\n      2.3.119", false},
	"value as a block, a range":          {"dependencies:\n- name: web\n  version: «|- # pinned\n      *  2.3.118»\n  repository: https://a\n", "|- # pinned\n      2.3.119", false},
	"value as a block with its line end": {"dependencies:\n- name: web\n  version: «>\n    2.3.118»\n\n  repository: https://a\n", ">-\n    2.3.119", false},
	"value as a block, not plain":        {"dependencies:\n- name: web\n  version: «>\n    2.3]»\n  repository: https://a\n", ">-\n    2.3.119", false},
	"value as a block, CRLF":             {"dependencies:\r\n- name: web\r\n  version: «|2\r\n    2.3.118»\r\n  repository: https://a\r\n", "|2-\r\n    2.3.119", false},
	"explicit keys":                      {"? dependencies\n: - ? name\n    : web\n    ? version\n    : «2.3.118»\n    ? repository\n    : https://a\n", "2.3.119", false},
	"quoted keys":                        {"\"dependencies\":\n- 'name': web\n  \"version\" : «2.3.118»\n  repository: https://a\n", "2.3.119", false},
	"wide characters":                    {"description: größer 値 \U0001F600\ndependencies: [{desc: 値, name: web, version: «2.3.118», repository: 'https://a'}]\n", "2.3.119", false},
	"unusual line breaks":                {"description: 'a\u2028  b\u0085  c'\ndependencies:\n- name: web\n  version: «2.3.118»\n  repository: https://a\n", "2.3.119", false},
	"number":                             {"dependencies:\n- name: web\n  version: «2.3»\n  repository: https://a\n", "2.3.119", false},
	"range":                              {"dependencies:\n- name: web\n  version: «\">=2.3.0 <3\"»\n  repository: https://a\n", "\"2.3.119\"", false},
	"range, unquoted":                    {"dependencies:\n- name: web\n  version: «^2.3.0 || ~1.1»  # wide\n  repository: https://a\n", "2.3.119", false},
	"no value":                           {"dependencies:\n- name: web\n  version:«» # none yet\n  repository: https://a\n", " 2.3.119", false},
	"no value, a comment below":          {"dependencies:\n- name: web\n  version:«»\n     # pinned\n    \n  repository: https://a\n", " 2.3.119", false},
	"no value but an anchor":             {"dependencies:\n- name: web\n  version: &v«»\n  repository: https://a\n", " 2.3.119", false},
	"longer than a line":                 {"dependencies:\n- name: web\n  version: «\"2.3\\\n    .118\"»\n  repository: https://a\n", "\"2.3.119\"", false},
}

// file is the text without its marks and the offsets where they were.
func unmark(marked string) (file string, start, end int) {
	before, rest, _ := strings.Cut(marked, "«")
	value, after, _ := strings.Cut(rest, "»")
	return before + value + after, len(before), len(before) + len(value)
}

var web = edit.Selector{Name: "web", Repository: "https://a/"}

func TestRow33_EveryOtherByteStays(t *testing.T) {
	for name, style := range styles {
		t.Run(name, func(t *testing.T) {
			file, start, end := unmark(style.marked)
			out, _, err := edit.SetDependency([]byte(file), web, "2.3.119")
			if err != nil {
				t.Fatal(err)
			}
			if want := file[:start] + style.became + file[end:]; string(out) != want {
				t.Errorf("got\n%q, want\n%q", out, want)
			}
			again, previous, err := edit.SetDependency(out, web, "2.3.119")
			if err != nil || previous != "2.3.119" || string(again) != string(out) {
				t.Errorf("the same version again: previous %q, err %v, text\n%q", previous, err, again)
			}
		})
	}
}

func TestRow33_SetValueKeepsTheRest(t *testing.T) {
	for name, test := range map[string]struct{ marked, path, value, became, previous string }{
		"key":                 {"image:\n  tag: «2.3.118» # pinned\n", ".image.tag", "2.3.119", "2.3.119", "2.3.118"},
		"index":               {"l:\n- a: 1\n- a: «2»\n", ".l[1].a", "3", "3", "2"},
		"list of scalars":     {"l: [a, «b», c]\n", ".l[1]", "d", "d", "b"},
		"quoted key":          {"m: {\"a.b/c\": «x»}\n", `.m["a.b/c"]`, "z", "z", "x"},
		"quoted key, dot":     {"m: {\"a.b/c\": «x»}\n", `.m."a.b/c"`, "z", "z", "x"},
		"dashed key":          {"a-b: «x»\n", ".a-b", "z", "z", "x"},
		"item by quoted name": {"releases:\n- {name: a, version: 1.0.0}\n- {name: 'b]c', version: «1.0.0»}\n", ".releases[name=\"b]c\"].version", "1.0.1", "1.0.1", "1.0.0"},
		"item by name":        {"releases:\n- {name: a, version: 1.0.0}\n- {name: b, version: «1.0.0»}\n", ".releases[name=b].version", "1.0.1", "1.0.1", "1.0.0"},
		"other document":      {"a: 1\n---\nspec:\n  targetRevision: «1.0.0»\n", ".spec.targetRevision", "1.0.1", "1.0.1", "1.0.0"},
		"number to number":    {"replicas: «3»\n", ".replicas", "5", "5", "3"},
		"number to Boolean":   {"enabled: «false»\n", ".enabled", "true", "true", "false"},
		"number to text":      {"tag: «10»\n", ".tag", "abc", "abc", "10"},
		"text to digits":      {"tag: «abc»\n", ".tag", "10", "\"10\"", "abc"},
		"empty value":         {"tag:«»\n", ".tag", "10", " \"10\"", ""},
		"emptied":             {"tag: «abc»\n", ".tag", "", "\"\"", "abc"},
		"several lines":       {"tag: «abc»\n", ".tag", "a\nb: c", "\"a\\nb: c\"", "abc"},
		"document of one":     {"# note\n- «abc»\n", "[0]", "d", "d", "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			file, start, end := unmark(test.marked)
			out, previous, err := edit.SetValue([]byte(file), test.path, test.value)
			if err != nil {
				t.Fatal(err)
			}
			if want := file[:start] + test.became + file[end:]; string(out) != want || previous != test.previous {
				t.Errorf("got\n%q (before: %q), want\n%q (before: %q)", out, previous, want, test.previous)
			}
			if now, err := edit.Value(out, test.path); err != nil || now != test.value {
				t.Errorf("reads back as %q, %v", now, err)
			}
		})
	}
}

// TestRow33_NothingRatherThanDamage: where the value's place cannot be written
// without changing something else, the file stays.
func TestRow33_NothingRatherThanDamage(t *testing.T) {
	for file, path := range map[string]string{
		"a: {b}\n":                       ".a.b", // a key alone; "b x" would be another key
		"a: {b, c}\n":                    ".a.b", // the same
		"a: |\n  x\n":                    ".a",   // a block that shall hold two lines
		"? a\n? b\n":                     ".a",   // a set
		"- [a, b: c]\n- !!binary aGk=\n": "[1]",
	} {
		out, _, err := edit.SetValue([]byte(file), path, "x\ny")
		if err == nil {
			err = onlyTheValue(func([]byte, edit.Selector, string) ([]byte, string, error) {
				previous, _ := edit.Value([]byte(file), path)
				return out, previous, nil
			}, []byte(file), edit.Selector{}, "x\ny")
			if err != nil {
				t.Errorf("%q became %q: %v", file, out, err)
			}
			continue
		}
		if out != nil || fault.Of(err).Kind != fault.KindRefused {
			t.Errorf("%q: %q and %v", file, out, err)
		}
	}
	if out, _, err := edit.SetValue([]byte("a: {b}\n"), ".a.b", "x"); err == nil {
		t.Errorf("a key without a colon: %q", out)
	}
}

func TestRow35_VersionsAreCheckedAndQuoted(t *testing.T) {
	file := "dependencies:\n- name: web\n  version: 2.3.118\n  repository: https://a\n"
	for _, version := range []string{"1.0\nfoo: x", "1.0.0\n", " 1.0.0", "$(id)", "1e3", "0x10", "", "latest", ">=1.0.0",
		"1.0.0 # x", "1.0.0, foo: x", "1.0.0-" + strings.Repeat("a", 10_000), "1.0.0-" + strings.Repeat("a", 130), "1.0.0\u0085", "${HOME}"} {
		out, _, err := edit.SetDependency([]byte(file), web, version)
		if reason := reasonOf(err); out != nil || reason != edit.InvalidVersion {
			t.Errorf("version %.20q: %v, want it refused", version, err)
		}
	}
	for version, written := range map[string]string{"1.0": `"1.0"`, "1": `"1"`, "2.3.119": "2.3.119", "v2.0.0": "v2.0.0", "1.0.0-rc.1+b": "1.0.0-rc.1+b"} {
		out, _, err := edit.SetDependency([]byte(file), web, version)
		if want := strings.Replace(file, "2.3.118", written, 1); err != nil || string(out) != want {
			t.Errorf("version %s: %v\n%s", version, err, out)
		}
	}
	for value, written := range map[string]string{"1e3": `"1e3"`, "0x10": `"0x10"`, "1.0": `"1.0"`, "12e4567": `"12e4567"`, "yes": `"yes"`, "$(id)": "$(id)", "a: b": `"a: b"`} {
		out, _, err := edit.SetValue([]byte("tag: abc\n"), ".tag", value)
		if err != nil || string(out) != "tag: "+written+"\n" {
			t.Errorf("value %s: %v, %q", value, err, out)
		}
	}
}

func TestNumberRewrittenAsText(t *testing.T) {
	out, _, err := edit.SetDependency([]byte("dependencies:\n- name: web\n  version: 1.0\n"), edit.Selector{Name: "web"}, "1.0")
	if err != nil || !strings.Contains(string(out), `version: "1.0"`) {
		t.Errorf("Helm reads an unquoted 1.0 as 1: got %q, %v", out, err)
	}
}
