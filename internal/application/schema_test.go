package application_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/lockstep-cd/lockstep/internal/application"
	"github.com/lockstep-cd/lockstep/internal/document/documenttest"
)

const schemaFile = "../../docs/applications.schema.json"

// TestSchemaHasTheKeysOfTheTypes: each key of a type and no other; required are
// those that JSON never leaves out.
func TestSchemaHasTheKeysOfTheTypes(t *testing.T) {
	s := documenttest.Schema(t, schemaFile)
	item := s.Properties["applications"].Items2020.Ref
	for _, c := range []struct {
		schema *jsonschema.Schema
		of     any
	}{{s, application.Applications{}}, {item, application.Application{}}} {
		documenttest.SameKeys(t, c.schema, c.of)
		var required []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(c.of)) {
			if key, options, _ := strings.Cut(f.Tag.Get("json"), ","); options == "" {
				required = append(required, key)
			}
		}
		if !slices.Equal(c.schema.Required, required) {
			t.Errorf("%T: the schema requires %v, the type %v", c.of, c.schema.Required, required)
		}
	}
	if *item.Properties["name"].MaxLength != application.MaxName {
		t.Error("the lengths of names differ")
	}
}

// TestSchemaAndReaderAgree on values that a schema can judge. What only the
// reader finds (names that are used twice, places) the schema lets pass.
func TestSchemaAndReaderAgree(t *testing.T) {
	s := documenttest.Schema(t, schemaFile)
	well := []string{full, head + "  []\n", one(""), one("  branch: a/b\n  chartPath: .\n  chartName: a.b_c-D\n"), with("testCommand", "|\n    a\n\n    b\n")}
	wrong := []string{
		"kind: Applications\n", one("  colour: red\n"), one("  branch: 1\n"), one("  branch: ''\n"), one("  imageEntrypoint: []\n"), one("  imageEntrypoint: a\n"), one("  imageEntrypoint: ['']\n"),
		one("  imageEntrypoint: ['a ']\n"), with("name", "a_b"), with("name", strings.Repeat("a", application.MaxName+1)), with("testCommand", "''"), with("testCommand", `" \n "`),
		with("testCommand", `"a\tb"`), with("testCommand", strings.Repeat("a", 4097)), with("testImage", strings.Repeat("a", 1001)), with("imageFiles", "[]"), one("  branch: \"a\\x85b\"\n"),
		with("imageFiles", "["+strings.Repeat("a:/a,", 51)+"]"), head + strings.Repeat("- {}\n", 5001),
	}
	for key, values := range map[string][]string{
		"repository": {"http://127.0.0.1:7480/e.git", "ssh://git@h/e", "git@h:a/e", "file:///srv/e", "/srv/e"},
		"testImage":  {"golang", "h:5000/a/b:1", "h/a@sha256:" + strings.Repeat("0", 64)},
		"imageFiles": {"[a:/a]", "['./a:/b/', 'c d:/e f']"}, "imageRepository": {"web", "127.0.0.1:5000/a/b_c"},
		"chartRepository": {"oci://h:5000/c", "https://h", "http://127.0.0.1:8080/a/"},
	} {
		for _, value := range values {
			well = append(well, with(key, value))
		}
	}
	for key, values := range map[string][]string{
		"repository": {"https://u:p@h/e", "https://h", "h/e", "ftp://h/e", "-x", "https://h/$(a)"},
		"testImage":  {"u:p@h/a", "-a", "a b", "h/a@sha256:0", "$(a)"},
		"imageFiles": {"a:/a", "[a]", "[a:b]", "['a:/$(b)']", "[/a:/b]", "[\"a:/b\\nc:/d\"]"}, "imageRepository": {"h/web:1", "u:p@h/a", "h/a?b", "-a/b"},
		"chartRepository": {"h/c", "/c", "oci://u:p@h/c", "https://h/c?a=b", "oci://", "oci://-h/c", "oci://h/$(a)"},
		"testCommand":     {"echo $(date)", "[a]"},
	} {
		for _, value := range values {
			wrong = append(wrong, with(key, value))
		}
	}
	documenttest.Agree(t, s, application.Parse, well, wrong)
}

func TestDocumentedFilesAreWell(t *testing.T) {
	documenttest.Documented(t, documenttest.Schema(t, schemaFile), application.Parse, "../../docs/applications-file.md", application.Kind)
}

// TestThePageHasEveryKey in its table.
func TestThePageHasEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/applications-file.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[application.Application]()) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !strings.Contains(string(page), "\n| `"+key+"` | ") {
			t.Errorf("no row for %s", key)
		}
	}
}
