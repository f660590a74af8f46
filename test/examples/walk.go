package examples

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
)

// onlyInClusters are the types of the fields that a machine without a cluster
// has nothing for, wherever one stands in an object.
var onlyInClusters = []reflect.Type{
	reflect.TypeFor[[]corev1.Volume](), reflect.TypeFor[pipelinev1.Volumes](), reflect.TypeFor[[]corev1.VolumeMount](), reflect.TypeFor[[]corev1.VolumeDevice](),
	reflect.TypeFor[*corev1.ProjectedVolumeSource](), reflect.TypeFor[*corev1.CSIVolumeSource](),
	reflect.TypeFor[[]pipelinev1.Sidecar](), reflect.TypeFor[pipelinev1.ResolverName](),
}

// clusterFields returns the paths of the fields of an object that are set and
// need a cluster.
func clusterFields(object any) []string {
	var found []string
	walk(reflect.ValueOf(object), "", func(path string, v reflect.Value) bool {
		if !slices.Contains(onlyInClusters, v.Type()) {
			return true
		}
		if !v.IsZero() {
			found = append(found, path)
		}
		return false
	})
	return found
}

// programs lists what steps start from the search path.
func programs(object any) []string {
	var found []string
	walk(reflect.ValueOf(object), "", func(field string, v reflect.Value) bool {
		if v.Kind() != reflect.String {
			return true
		}
		switch {
		case strings.HasSuffix(field, ".command[0]"):
			if name := v.String(); !strings.ContainsAny(name, "/$") {
				found = append(found, name)
			}
		case strings.HasSuffix(field, ".script"):
			line, _, _ := strings.Cut(strings.TrimSpace(v.String()), "\n")
			if words := strings.Fields(strings.TrimPrefix(line, "#!")); strings.HasPrefix(line, "#!") {
				found = append(found, path.Base(words[min(len(words), 2)-1]))
			}
		}
		return false
	})
	return found
}

// walk visits every value below v with its path in JSON, as long as visit says
// to go deeper.
func walk(v reflect.Value, at string, visit func(string, reflect.Value) bool) {
	if !v.IsValid() || !visit(at, v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		walk(v.Elem(), at, visit)
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%d]", at, i), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case !field.IsExported():
			case name == "":
				walk(v.Field(i), at, visit)
			default:
				walk(v.Field(i), strings.TrimPrefix(at+"."+name, "."), visit)
			}
		}
	}
}
