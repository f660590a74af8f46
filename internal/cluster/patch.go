package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// RecreateAnnotation on an object of a chart allows it to be deleted and
// created anew when a change touches a field that cannot be changed.
const RecreateAnnotation = "lockstep.dev/recreate"

// threeWay makes the patch that takes live to info's object and removes what
// before had and info has not. Built-in kinds merge lists by their keys, so
// that what others added stays; custom resources know no keys.
func (a *autoscalers) threeWay(info *resource.Info, before, live runtime.Object) (types.PatchType, []byte, error) {
	old, err1 := treeOf(before)
	target, err2 := treeOf(info.Object)
	current, err3 := treeOf(live)
	if err := errors.Join(err1, err2, err3); err != nil {
		return "", nil, err
	}
	stored(old)
	stored(target)
	if isSecret(contentOf(info.Object)) && old["data"] != nil && target["data"] == nil {
		target["data"] = tree{} // what others put there stays
	}
	a.keepReplicas(info, old, target, current)
	keepStarted(info, old, target, current)
	typed := kube.AsVersioned(info)
	if _, custom := typed.(runtime.Unstructured); custom {
		patch, err := mergePatch(old, target, current)
		return types.MergePatchType, patch, err
	}
	keys, err := strategicpatch.NewPatchMetaFromStruct(typed)
	if err != nil {
		return "", nil, err
	}
	if ambiguous(keys, old, target, current) {
		patch, err := mergedPatch(keys, old, target, current)
		return types.MergePatchType, patch, err
	}
	patch, _, err := strategicPatch(keys, old, target, current)
	return types.StrategicMergePatchType, patch, err
}

// treeOf is a copy of an object's content.
func treeOf(object runtime.Object) (tree, error) {
	return runtime.DefaultUnstructuredConverter.ToUnstructured(object.DeepCopyObject())
}

// mergePatch is a three-way patch that replaces lists as a whole.
func mergePatch(old, target, current tree) ([]byte, error) {
	before, err1 := json.Marshal(old)
	wanted, err2 := json.Marshal(target)
	live, err3 := json.Marshal(current)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return jsonmergepatch.CreateThreeWayJSONMergePatch(before, wanted, live,
		mergepatch.RequireKeyUnchanged("apiVersion"), mergepatch.RequireKeyUnchanged("kind"), mergepatch.RequireMetadataKeyUnchanged("name"))
}

// applyError says what could not be done to which object and, where the server
// names them, which fields are to blame. The server repeats values in its
// words; they are left out, since they may be secret.
func applyError(verb string, info *resource.Info, err error) error {
	fields := blamed(err)
	if len(fields) == 0 {
		return fmt.Errorf("%s %s: %w", verb, nameOf(info), err)
	}
	named := &fieldError{text: fmt.Sprintf("%s %s: %s", verb, nameOf(info), strings.Join(fields, "; ")), err: err}
	if !isImmutable(err) {
		return named
	}
	return fault.Refused("ImmutableField", named, fmt.Sprintf(
		"give the object a new name, delete it, or annotate it with %s: \"true\" if it may be deleted and created anew", RecreateAnnotation))
}

// fieldError replaces the server's message but keeps its status.
type fieldError struct {
	text string
	err  error
}

func (e *fieldError) Error() string { return e.text }
func (e *fieldError) Unwrap() error { return e.err }

// blamed lists the fields that the server found invalid, each with the reason
// and without the value: "spec.selector: field is immutable".
func blamed(err error) []string {
	var fields []string
	for _, cause := range causes(err) {
		message := cause.Message
		// `Invalid value: {…}: field is immutable` – the value ends at the last colon.
		if i := strings.LastIndex(message, ": "); i >= 0 {
			message = message[i+2:]
		}
		fields = append(fields, cause.Field+": "+message)
	}
	return fields
}

func causes(err error) []metav1.StatusCause {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	return status.Status().Details.Causes
}

// isImmutable tells a change that this object will never take from one that is
// merely wrong. The API has no code for it; these are the words of its
// validation.
func isImmutable(err error) bool {
	for _, cause := range causes(err) {
		for _, words := range []string{"immutable", "may not change", "may not be changed", "are forbidden"} {
			if strings.Contains(cause.Message, words) {
				return true
			}
		}
	}
	return false
}

func mayRecreate(info *resource.Info) bool {
	annotations, err := meta.NewAccessor().Annotations(info.Object)
	return err == nil && annotations[RecreateAnnotation] == "true"
}

// contentOf is an object's content, nil when it is not unstructured.
func contentOf(object runtime.Object) *unstructured.Unstructured {
	content, _ := object.(*unstructured.Unstructured)
	return content
}
