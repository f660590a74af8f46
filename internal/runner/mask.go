package runner

import (
	"reflect"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// A parameter's value and a step's result are text, whatever they look like:
// the author of a commit message decides what is in them. Tekton's functions
// look for references again in what they filled in before. There a value could
// read any result, and one that names a result of its own task makes them call
// each other until the stack is full, which ends the process.
//
// So "$(" in a value is masked before Tekton's functions see it, and unmasked
// behind the last of them: in what a step runs with, in the outcome and in every
// message.

// mask keeps Tekton from finding references in a text. NUL cannot occur in what
// a process is started with, so a mask is no part of any value.
func mask(text string) string { return masks.Replace(text) }

// unmask is the inverse of mask, also in a text that masked ones were put into.
func unmask(text string) string { return strings.ReplaceAll(text, "$\x00", "$") }

var masks = strings.NewReplacer("$\x00", "$\x00\x00", "$(", "$\x00(")

// maskParams returns parameters of a run with their values masked.
func maskParams(params pipelinev1.Params) pipelinev1.Params {
	masked := params.DeepCopy()
	for i := range masked {
		each(reflect.ValueOf(&masked[i].Value), mask)
	}
	return masked
}

// maskResults masks what a TaskRun hands on.
func maskResults(tr *pipelinev1.TaskRun) {
	for i := range tr.Status.Results {
		each(reflect.ValueOf(&tr.Status.Results[i].Value), mask)
	}
}

// unmaskAll unmasks every text that target points to.
func unmaskAll(target any) { each(reflect.ValueOf(target), unmask) }

// each applies change to every text in v that can be set.
func each(v reflect.Value, change func(string) string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			each(v.Elem(), change)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				each(v.Field(i), change)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			each(v.Index(i), change)
		}
	case reflect.Map:
		eachValue(v, change)
	case reflect.String:
		if v.CanSet() {
			v.SetString(change(v.String()))
		}
	}
}

// eachValue does it for a map, whose values can be replaced only.
func eachValue(v reflect.Value, change func(string) string) {
	for _, key := range v.MapKeys() {
		value := reflect.New(v.Type().Elem()).Elem()
		value.Set(v.MapIndex(key))
		each(value, change)
		v.SetMapIndex(key, value)
	}
}
