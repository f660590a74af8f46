package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Hidden stands for a value that must not be shown.
const Hidden = "(hidden)"

// Difference is what applying one object would do to the cluster.
type Difference struct {
	Object  string // "Deployment user-service"
	Missing bool   // the object would be created
	Removed bool   // the object would be deleted
	Fields  []Field
}

// Field is one value that would change. The values of Secrets are Hidden.
type Field struct {
	Path     string // "spec.template.spec.containers[0].image"
	From, To string // as JSON; "" when there is none on that side
}

func (d Difference) String() string {
	switch {
	case d.Missing:
		return d.Object + " is missing"
	case d.Removed:
		return d.Object + " is no longer wanted"
	}
	var paths []string
	for _, f := range d.Fields {
		paths = append(paths, f.Path)
	}
	return d.Object + " differs in " + strings.Join(paths, ", ")
}

// Compare asks the server what applying the objects would change, without
// changing anything. Defaults, and fields and list items that others own, are
// no differences; nor is the replica count of a workload that an autoscaler
// among the objects scales. before are the objects as they were applied last:
// what they have and the objects lack would be removed. Autoscalers are looked
// for among others as well.
func (c *Client) Compare(objects, before []Object, others ...Object) ([]Difference, error) {
	scalers := c.autoscalersAmong(contentsOf(slices.Concat(others, objects)))
	found := make([]*Difference, len(objects))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, object := range objects {
		group.Go(func() (err error) {
			found[i], err = scalers.compare(object, find(before, object))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var differences []Difference
	for _, d := range found {
		if d != nil {
			differences = append(differences, *d)
		}
	}
	for _, object := range before {
		if find(objects, object) == nil {
			differences = append(differences, Difference{Object: object.String(), Removed: true})
		}
	}
	return differences, nil
}

func (a *autoscalers) compare(object Object, before *Object) (*Difference, error) {
	info := object.info
	live, err := helperOf(info).Get(info.Namespace, info.Name)
	if apierrors.IsNotFound(err) && before != nil && object.MayBeGone() {
		return nil, nil
	}
	if apierrors.IsNotFound(err) {
		if _, err = helperOf(info).DryRun(true).Create(info.Namespace, true, info.Object); err != nil && !isNamespaceMissing(err) {
			return nil, applyError("create", info, err)
		}
		return &Difference{Object: object.String(), Missing: true}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", object, err)
	}
	original := info
	if before != nil {
		original = before.info
	}
	kind, patch, err := a.patchOf(info, original, live)
	if err != nil || patch == nil {
		return nil, err
	}
	patched, err := helperOf(info).DryRun(true).Patch(info.Namespace, info.Name, kind, patch, nil)
	if err != nil {
		return nil, applyError("change", info, err)
	}
	fields := changes(contentOf(live), contentOf(patched), a.decide(info, contentOf(live)))
	if len(fields) == 0 {
		return nil, nil
	}
	return &Difference{Object: object.String(), Fields: fields}, nil
}

// isNamespaceMissing: a dry run cannot create the namespace first.
func isNamespaceMissing(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && errors.As(err, &status) &&
		status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}

// changes lists the fields in which two states of an object differ, without
// what the server writes by itself.
func changes(live, patched *unstructured.Unstructured, scaled bool) []Field {
	hide := isSecret(live)
	var fields []Field
	walk("", strip(live), strip(patched), func(f Field) {
		if scaled && f.Path == "spec.replicas" {
			return
		}
		if hide && !strings.HasPrefix(f.Path, "metadata.") {
			f.From, f.To = hidden(f.From), hidden(f.To)
		}
		fields = append(fields, f)
	})
	return fields
}

func strip(object *unstructured.Unstructured) map[string]any {
	copied := object.DeepCopy()
	for _, path := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp"} {
		unstructured.RemoveNestedField(copied.Object, "metadata", path)
	}
	unstructured.RemoveNestedField(copied.Object, "status")
	return copied.Object
}

func hidden(value string) string {
	if value == "" {
		return ""
	}
	return Hidden
}

// walk reports the leaves in which a and b differ. Lists of different lengths
// are one leaf: saying which item came or went would be a guess.
func walk(path string, a, b any, report func(Field)) {
	if reflect.DeepEqual(a, b) {
		return
	}
	mapA, okA := a.(map[string]any)
	mapB, okB := b.(map[string]any)
	if okA && okB {
		for _, key := range keysOf(mapA, mapB) {
			walk(join(path, key), mapA[key], mapB[key], report)
		}
		return
	}
	listA, okA := a.([]any)
	listB, okB := b.([]any)
	if okA && okB && len(listA) == len(listB) {
		for i := range listA {
			walk(fmt.Sprintf("%s[%d]", path, i), listA[i], listB[i], report)
		}
		return
	}
	report(Field{Path: path, From: text(a), To: text(b)})
}

func keysOf(maps ...map[string]any) []string {
	seen := map[string]bool{}
	var keys []string
	for _, m := range maps {
		for key := range m {
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	sort.Strings(keys)
	return keys
}

func join(path, key string) string {
	if strings.ContainsAny(key, "./[") {
		key = "[" + key + "]"
	} else if path != "" {
		key = "." + key
	}
	return path + key
}

func text(value any) string {
	if value == nil {
		return ""
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(encoded)
}

func contentsOf(objects []Object) []*unstructured.Unstructured {
	var contents []*unstructured.Unstructured
	for _, o := range objects {
		contents = append(contents, o.Content)
	}
	return contents
}

func find(objects []Object, wanted Object) *Object {
	for i, o := range objects {
		if o.Kind == wanted.Kind && o.Resource.Group == wanted.Resource.Group && o.Namespace == wanted.Namespace && o.Name == wanted.Name {
			return &objects[i]
		}
	}
	return nil
}
