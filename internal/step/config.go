package step

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// source says where a value comes from: a flag that is set stands in front of
// the environment, and an empty variable counts as unset, because Tekton sets
// the variable of every parameter.
type source struct {
	flags map[string][]string // of each flag that is set, in their order
	env   func(string) (string, bool)
}

// given returns what the caller said for in, and whether anything was said.
func (s source) given(in input) (string, bool) {
	if values := s.flags[in.flag]; len(values) > 0 {
		if in.kind == "list" {
			return strings.Join(values, "\n"), true
		}
		return values[len(values)-1], true
	}
	value, ok := s.env(in.env)
	if !ok || value == "" {
		return "", false
	}
	return value, true
}

// value is what the caller said for in, or else what in falls back to.
func (s source) value(in input) string {
	if value, said := s.given(in); said {
		return value
	}
	if _, set := s.env(in.env); in.checkout && !set {
		return checkoutAround()
	}
	return in.fallback
}

// checkoutAround is the nearest folder from the working folder up that holds
// .git, or "". Only people get it: Tekton sets the variable of each workspace.
func checkoutAround() string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	return ""
}

// fill sets the inputs of the config struct at target. All faults are reported
// together, so that a caller mends them in one go.
func (l layout) fill(ctx context.Context, target reflect.Value, s source) error {
	var faults []error
	for _, in := range l.inputs {
		value := s.value(in)
		if field := target.FieldByIndex(in.index); field.Kind() == reflect.Pointer {
			if _, said := s.given(in); said || value != "" {
				field.Set(reflect.ValueOf(&value)) // a flag can say that it is empty
			}
			continue
		}
		if value == "" {
			if in.required {
				faults = append(faults, fmt.Errorf("--%s (or %s) is required%s: %s", in.flag, in.env, s.outside(in), in.about))
			}
			continue
		}
		if err := decode(ctx, target.FieldByIndex(in.index), in, value); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// outside tells a person why a checkout has to be named.
func (s source) outside(in input) string {
	if _, set := s.env(in.env); in.checkout && !set {
		return ", since the working folder is in no checkout"
	}
	return ""
}

// decode gives field the value in the type of the field. envconfig decodes
// structs by their tags, so the field is wrapped into a struct whose tag names
// the variable that the contract derives.
func decode(ctx context.Context, field reflect.Value, in input, value string) error {
	wrapper := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: "Value", Type: field.Type(), Tag: reflect.StructTag(fmt.Sprintf("env:%q", in.env)),
	}}))
	if in.kind == "list" {
		value = strings.Join(lines(value), "\n")
	}
	err := envconfig.ProcessWith(ctx, &envconfig.Config{
		Target:           wrapper.Interface(),
		Lookuper:         envconfig.MapLookuper(map[string]string{in.env: value}),
		DefaultDelimiter: "\n",
	})
	if err != nil {
		return fmt.Errorf("--%s (or %s): %q is not of type %s", in.flag, in.env, value, in.kind)
	}
	field.Set(wrapper.Elem().Field(0))
	return nil
}

// lines are the items of a list: one per line, white space around them and
// empty lines do not count.
func lines(value string) []string {
	var items []string
	for line := range strings.Lines(value) {
		if item := strings.TrimSpace(line); item != "" {
			items = append(items, item)
		}
	}
	return items
}
