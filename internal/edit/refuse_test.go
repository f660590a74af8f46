package edit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Reason
}

const twins = `dependencies:
- {name: web, alias: a, version: 1.0.0, repository: https://x}
- {name: web, alias: b, version: 1.0.0, repository: https://x}
- {name: web, version: 1.0.0, repository: https://y/}
`

func TestRow30_OneDependencyOrNone(t *testing.T) {
	for name, test := range map[string]struct {
		file   string
		sel    edit.Selector
		line   string // whose version changes
		reason string
		places []string
	}{
		"alias":                  {twins, edit.Selector{Name: "web", Alias: "b"}, "alias: b", "", nil},
		"alias alone":            {twins, edit.Selector{Alias: "a"}, "alias: a", "", nil},
		"repository":             {twins, edit.Selector{Name: "web", Repository: "https://y"}, "https://y/", "", nil},
		"the one without alias":  {twins, edit.Selector{Name: "web", Alias: "web"}, "https://y/", "", nil},
		"name of three":          {twins, edit.Selector{Name: "web"}, "", edit.Ambiguous, []string{"3:3", "2:3"}},
		"name and repository":    {twins, edit.Selector{Name: "web", Repository: "https://x"}, "", edit.Ambiguous, []string{"3:3", "2:3"}},
		"nobody":                 {twins, edit.Selector{Name: "api"}, "", edit.NotFound, []string{"2:3", "name api"}},
		"other alias":            {twins, edit.Selector{Name: "web", Alias: "c"}, "", edit.NotFound, []string{"alias c"}},
		"nothing asked":          {twins, edit.Selector{Repository: "https://y"}, "", edit.InvalidValue, nil},
		"name twice":             {"dependencies:\n- name: web\n  version: 1.0.0\n- name: web\n  version: 1.0.0\n", edit.Selector{Name: "web"}, "", edit.Duplicate, []string{"4:3", "2:3"}},
		"alias twice":            {"dependencies:\n- {name: a, alias: x}\n- {name: b, alias: x}\n- {name: web, version: 1.0.0}\n", edit.Selector{Name: "web"}, "", edit.Duplicate, []string{"3:3", "2:3"}},
		"alias is another name":  {"dependencies:\n- {name: a, alias: web}\n- {name: web, version: 1.0.0}\n", edit.Selector{Name: "web"}, "", edit.Duplicate, []string{"3:3", "2:3"}},
		"no dependencies at all": {"name: env\n", edit.Selector{Name: "web"}, "", edit.NotFound, nil},
		"empty file":             {"", edit.Selector{Name: "web"}, "", edit.NotFound, nil},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := edit.SetDependency([]byte(test.file), test.sel, "2.0.0")
			if got := reasonOf(err); got != test.reason {
				t.Fatalf("SetDependency = %v (%s), want %q", err, got, test.reason)
			}
			for _, place := range test.places {
				if !strings.Contains(err.Error(), place) {
					t.Errorf("%q does not name %s", err, place)
				}
			}
			if test.line != "" {
				changedLine(t, test.file, string(out), test.line)
			}
		})
	}
}

// changedLine checks that the version changed in the line with mark and
// nothing else did.
func changedLine(t *testing.T, before, after, mark string) {
	t.Helper()
	want := strings.Split(before, "\n")
	for i, line := range want {
		if strings.Contains(line, mark) {
			want[i] = strings.Replace(line, "1.0.0", "2.0.0", 1)
		}
	}
	if after != strings.Join(want, "\n") {
		t.Errorf("got\n%s, want\n%s", after, strings.Join(want, "\n"))
	}
}

func TestRow11_MissingKeysAreNamed(t *testing.T) {
	for name, test := range map[string]struct{ file, path, says string }{
		"key gone":          {"image: {name: a}\n", ".image.tag", ".image.tag"},
		"list too short":    {"l: [a]\n", ".l[1]", ".l[1]"},
		"item gone":         {"l: [{name: a}]\n", ".l[name=b].tag", ".l[name=b].tag"},
		"scalar on the way": {"a: b\n", ".a.b", ".a.b"},
	} {
		_, _, err := edit.SetValue([]byte(test.file), test.path, "x")
		if !errors.Is(err, edit.ErrNotFound) || fault.Of(err).Kind != fault.KindRefused || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := edit.SetDependency([]byte("dependencies:\n- name: web\n"), edit.Selector{Name: "web"}, "1.0.0")
	if !errors.Is(err, edit.ErrNotFound) || !strings.Contains(err.Error(), "2:3: dependency web has no version") {
		t.Errorf("no version: %v", err)
	}
}

func TestRow32_MalformedFilesNameThePlace(t *testing.T) {
	for file, says := range map[string]string{
		"dependencies:\n- name: web\n\tversion: 1.0.0\n":                   "3:1: ",
		"dependencies:\n- name: web\n  version: 1.0.0\n  version: 1.0.0\n": `4:3: key "version" appears twice`,
		"dependencies:\n- name: web\n  version: 1.0.0\ndependencies: []\n": `4:1: key "dependencies" appears twice`,
		"dependencies:\n- name: web\n   version: 1.0.0\n":                  "3:",
		"dependencies:\n- name: \"web\n  version: 1.0.0\n":                 "2:9: ",
		"dependencies: web\n":                                                "1:15: dependencies is a scalar",
		"dependencies:\n- web\n":                                             "2:3: dependency 1: a scalar",
		"dependencies:\n- {version: 1.0.0}\n":                                "2:3: dependency 1: it has no name",
		"dependencies:\n- {name: web, version: {a: b}}\n":                    "2:24: a mapping stands here",
		"dependencies:\n- {name: web, version: &v 1.0.0}\n- {name: web, a\n": "3:",
	} {
		out, _, err := edit.SetDependency([]byte(file), edit.Selector{Name: "web"}, "2.0.0")
		if err == nil || out != nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%q: %v, want %q", file, err, says)
		}
		if fault.Of(err).Kind != fault.KindRefused {
			t.Errorf("%q: %+v, want refused", file, fault.Of(err))
		}
	}
}

func TestRow34_HostileFilesAreBounded(t *testing.T) {
	bomb := "x0: &x0 [a,a,a,a,a,a,a,a]\n"
	for i, c := range "123456789" {
		bomb += "x" + string(c) + ": &x" + string(c) + " [" + strings.Repeat("*x"+string("0123456789"[i])+",", 8) + "]\n"
	}
	for name, file := range map[string]string{
		"bomb in import-values":   bomb + "dependencies:\n- {name: web, version: 1.0.0, import-values: *x9}\n",
		"import-values in itself": "dependencies:\n- &d {name: web, version: 1.0.0, import-values: [*d]}\n",
		"1,001 values":            "dependencies:\n- {name: web, version: 1.0.0, import-values: [" + strings.Repeat("a,", 1001) + "]}\n",
		"10,000 levels":           strings.Repeat("{a: ", 10_000),
		"100 MB":                  "dependencies:\n" + strings.Repeat("- {name: a}\n", 9_000_000),
	} {
		if out, _, err := edit.SetDependency([]byte(file), edit.Selector{Name: "web"}, "2.0.0"); err == nil || out != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	merged := "dependencies:\n- &d {<<: *d, name: web, version: 1.0.0}\n" // a merge of itself
	if out, _, err := edit.SetDependency([]byte(merged), edit.Selector{Name: "web"}, "2.0.0"); err == nil && !strings.Contains(string(out), "2.0.0") {
		t.Errorf("merge of itself: %q", out)
	}
}

func TestAliasedVersionsAreRefused(t *testing.T) {
	file := "v: &v 1.0.0\ndependencies:\n- {name: web, version: *v}\n"
	_, _, err := edit.SetDependency([]byte(file), edit.Selector{Name: "web"}, "2.0.0")
	if reasonOf(err) != edit.NotEditable || !strings.HasPrefix(err.Error(), "3:24: the value is the alias *v") {
		t.Errorf("alias: %v", err)
	}
	if hint := fault.Of(err).Hint; !strings.Contains(hint, "anchor &v, line 1") {
		t.Errorf("hint %q does not name the anchor", hint)
	}
	file = "d: &d {version: 1.0.0}\ndependencies:\n- {<<: *d, name: web}\n"
	_, _, err = edit.SetDependency([]byte(file), edit.Selector{Name: "web"}, "2.0.0")
	if reasonOf(err) != edit.NotEditable || !strings.HasPrefix(err.Error(), "1:17: the version of web comes from a merged mapping") {
		t.Errorf("merged: %v", err)
	}
}

func TestPathsThatAreNone(t *testing.T) {
	for _, path := range []string{"", "image", ".", "..a", ".a[", ".a[x]", ".a[-1]", ".a[=b]", `.a["b`, `.a["b"`, `."b`, ".a.", ".a[99999999999]"} {
		if _, _, err := edit.SetValue([]byte("a: [b]\n"), path, "x"); fault.Of(err).Kind != fault.KindUsage {
			t.Errorf("path %q: %v, want a usage error", path, err)
		}
	}
}

func TestAmbiguousPaths(t *testing.T) {
	for file, path := range map[string]string{
		"a: 1\n---\na: 2\n":                       ".a",
		"l: [{name: x, v: 1}, {name: x, v: 2}]\n": ".l[name=x].v",
	} {
		if _, _, err := edit.SetValue([]byte(file), path, "3"); !errors.Is(err, edit.ErrAmbiguous) {
			t.Errorf("%s in %q: %v, want ambiguous", path, file, err)
		}
	}
}

func TestValuesThatNoFileShouldHold(t *testing.T) {
	for _, value := range []string{strings.Repeat("a", 10_000), "\xff"} {
		if _, _, err := edit.SetValue([]byte("a: b\n"), ".a", value); fault.Of(err).Kind != fault.KindUsage {
			t.Errorf("%.10q: %v, want a usage error", value, err)
		}
	}
}

func TestErrorsAreMalformedYAML(t *testing.T) {
	_, _, err := edit.SetValue([]byte("a: b: c\n"), ".a", "x")
	var place *yaml.Error
	if !errors.As(err, &place) || place.Line != 1 || reasonOf(err) != yaml.Malformed {
		t.Errorf("%v", err)
	}
}

// TestRow11_TheHintIsShort: a chart may have a thousand dependencies.
func TestRow11_TheHintIsShort(t *testing.T) {
	file := "dependencies:\n"
	for i := range 1000 {
		file += fmt.Sprintf("- {name: web-%d, version: 1.0.0}\n", i)
	}
	_, _, err := edit.SetDependency([]byte(file), edit.Selector{Name: "user-service"}, "1.0.1")
	hint := fault.Of(err).Hint
	if !errors.Is(err, edit.ErrNotFound) || !strings.HasPrefix(hint, "The entries are: web-0, web-1, ") || !strings.HasSuffix(hint, " and 980 more.") || len(hint) > 200 {
		t.Errorf("got %v, %q", err, hint)
	}
}
