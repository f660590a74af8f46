// Package documenttest holds documents of YAML against their JSON Schemas in docs/.
package documenttest

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// Schema reads a file.
func Schema(t testing.TB, file string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	s, err := compiler.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value is a YAML text as a validator knows it.
func value(t testing.TB, text string) any {
	t.Helper()
	converted, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(converted))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// SameKeys wants the schema of an object to have the keys of a Go type, as its tags
// name them, and no others.
func SameKeys(t testing.TB, s *jsonschema.Schema, of any) {
	t.Helper()
	var keys, described []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		keys = append(keys, key)
	}
	for key := range s.Properties {
		described = append(described, key)
	}
	slices.Sort(keys)
	slices.Sort(described)
	if !slices.Equal(keys, described) || s.AdditionalProperties != false {
		t.Errorf("%T: the schema has %v, the type %v; further ones allowed: %v", of, described, keys, s.AdditionalProperties)
	}
}

// Agree wants schema and reader to take the same texts, and what the reader makes of
// them, and to refuse the same.
func Agree[T any](t *testing.T, s *jsonschema.Schema, read func(name string, text []byte) (T, error), well, wrong []string) {
	t.Helper()
	for _, text := range well {
		taken(t, s, read, text)
	}
	for _, text := range wrong {
		if err := s.Validate(value(t, text)); err == nil {
			t.Errorf("the schema takes %.500s", text)
		}
		if _, err := read("a.yaml", []byte(text)); err == nil {
			t.Errorf("the reader takes %.500s", text)
		}
	}
}

func taken[T any](t *testing.T, s *jsonschema.Schema, read func(name string, text []byte) (T, error), text string) {
	t.Helper()
	if err := s.Validate(value(t, text)); err != nil {
		t.Errorf("the schema refuses %s\n%v", text, err)
	}
	file, err := read("a.yaml", []byte(text))
	if err != nil {
		t.Errorf("the reader refuses %s\n%v", text, err)
		return
	}
	written, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(value(t, string(written))); err != nil {
		t.Errorf("the schema refuses the JSON of %s\n%v", text, err)
	}
}

// Documented wants every file of a kind that a page of docs/ shows to be well written,
// and one to be there.
func Documented[T any](t *testing.T, s *jsonschema.Schema, read func(name string, text []byte) (T, error), page, kind string) {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, block := range strings.Split(string(content), "```yaml\n")[1:] {
		if text, _, _ := strings.Cut(block, "```"); strings.Contains(text, "kind: "+kind) {
			found++
			taken(t, s, read, text)
		}
	}
	if found == 0 {
		t.Errorf("%s shows no file of kind %s", page, kind)
	}
}
