package environment_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/lockstep-cd/lockstep/internal/document/documenttest"
	"github.com/lockstep-cd/lockstep/internal/environment"
)

const schemaFile = "../../docs/environments.schema.json"

// TestSchemaHasTheKeysOfTheTypes: each key of a type, no other, and where the
// schema lists the words of a value, those that the reader takes.
func TestSchemaHasTheKeysOfTheTypes(t *testing.T) {
	s := documenttest.Schema(t, schemaFile)
	item := s.Properties["environments"].Items2020.Ref
	for _, c := range []struct {
		schema *jsonschema.Schema
		of     any
	}{{s, environment.Environments{}}, {item, environment.Environment{}}, {item.Properties["windows"].Items2020.Ref, environment.Window{}}} {
		documenttest.SameKeys(t, c.schema, c.of)
	}
	words := []any{string(environment.Auto), string(environment.Manual), string(environment.Never)}
	if got := item.Properties["promotion"].Enum.Values; !reflect.DeepEqual(got, words) {
		t.Errorf("promotion is one of %v, want %v", got, words)
	}
	words = []any{string(environment.ByCommit), string(environment.ByPullRequest)}
	if got := item.Properties["delivery"].Enum.Values; !reflect.DeepEqual(got, words) {
		t.Errorf("delivery is one of %v, want %v", got, words)
	}
	if *item.Properties["name"].MaxLength != environment.MaxName || *item.Properties["namespace"].MaxLength != environment.MaxNamespace {
		t.Error("the lengths of names differ")
	}
	for key, want := range map[string]string{"promotion": "Manual", "delivery": "commit", "path": ".", "rollback": "Manual"} {
		if got := item.Properties[key].Default; got == nil || *got != want {
			t.Errorf("default of %s is %v, want %s", key, got, want)
		}
	}
}

// TestSchemaAndReaderAgree on values that a schema can judge. What only the
// reader finds (circles, names that are unknown) the schema lets pass.
func TestSchemaAndReaderAgree(t *testing.T) {
	s := documenttest.Schema(t, schemaFile)
	well := []string{example(t), head + "  []\n", one(""), one("  branch: main\n  path: a/b\n  frozen: true\n  delivery: pull-request\n  promotion: Never\n"), one("  rollback: Auto\n")}
	wrong := []string{
		"kind: Environments\n", one("  colour: red\n"), one("  promotion: auto\n"), one("  delivery: merge\n"), one("  frozen: 'true'\n"), one("  soak: 2\n"), one("  rollback: Never\n"),
		one("  after: staging\n"), one("  windows: {days: Mon}\n"), strings.Replace(one(""), "  namespace: acme\n", "", 1), strings.Replace(one(""), "staging", "a_b", 1),
		strings.Replace(one(""), "name: staging", "name: "+strings.Repeat("a", environment.MaxName+1), 1),
	}
	for _, days := range []string{"Mon", "Mon-Thu", "Mon,Wed", "Sat-Mon, Wed", "Sun-Sun"} {
		well = append(well, one("  windows: [{days: '"+days+"'}]\n"))
	}
	for _, days := range []string{"", "mon", "Monday", "Mon,", "Mon-", "Mon-Tue-Wed", "Mon Tue"} {
		wrong = append(wrong, one("  windows: [{days: '"+days+"'}]\n"))
	}
	for _, hours := range []string{"00:00-24:00", "22:00-04:00", "09:00-09:01"} {
		well = append(well, one("  windows: [{hours: '"+hours+"', zone: Europe/Berlin}]\n"))
	}
	for _, hours := range []string{"9:00-16:00", "09:00", "24:00-01:00", "09:60-10:00", "09:00 - 16:00"} {
		wrong = append(wrong, one("  windows: [{hours: '"+hours+"'}]\n"))
	}
	for _, url := range []string{"http://127.0.0.1:7480/e.git", "ssh://git@h/e", "git@h:a/e", "file:///srv/e", "/srv/e"} {
		well = append(well, strings.Replace(one(""), "https://h/staging", url, 1))
	}
	for _, url := range []string{"https://u:p@h/e", "https://h", "h/e", "ftp://h/e", "-x"} {
		wrong = append(wrong, strings.Replace(one(""), "https://h/staging", url, 1))
	}
	for _, key := range []string{publicKey, "[" + publicKey + "]", "[" + publicKey + ", " + publicKey + "]"} {
		well = append(well, one("  recordKey: "+key+"\n"))
	}
	for _, key := range []string{"", "''", "[]", "ssh-ed25519", "AAAA", "{a: b}", "[[" + publicKey + "]]"} {
		wrong = append(wrong, one("  recordKey: "+key+"\n"))
	}
	for _, lines := range []string{"file: a.yaml", "file: 'apps/{application}.yaml', path: b", "file: a, valuePath: '.{application}[0]'", "file: a, valuePath: '[0]', namespace: acme"} {
		well = append(well, head+"- {name: a, repository: https://h/e, "+lines+"}\n")
	}
	for _, lines := range []string{"path: a", "file: ''", "file: [a]", "file: a, valuePath: a", "file: a, valuePath: 1", "namespace: acme, valuePath: .a"} {
		wrong = append(wrong, head+"- {name: a, repository: https://h/e, "+lines+"}\n")
	}
	documenttest.Agree(t, s, environment.Parse, well, wrong)
}

func TestDocumentedFilesAreWell(t *testing.T) {
	s := documenttest.Schema(t, schemaFile)
	for _, page := range []string{"environments-file.md", "targets.md"} {
		documenttest.Documented(t, s, environment.Parse, "../../docs/"+page, environment.Kind)
	}
}
