package cluster

import (
	"encoding/base64"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// stored brings what a chart says into the form in which the API server keeps
// it, so that it can be compared with the live object. A field that the server
// copies into another one would stay there when it leaves the chart.
func stored(object tree) {
	content := &unstructured.Unstructured{Object: object}
	if isSecret(content) {
		storedSecret(object)
	}
	if path := podSpecOf(content.GroupVersionKind().Group, content.GetKind()); path != nil {
		storedAccount(object, path)
	}
}

// storedSecret moves stringData, which is never read back, into data. It wins
// where both have a key. What is no text stays, for the server to refuse.
func storedSecret(object tree) {
	plain, ok := object["stringData"].(tree)
	if !ok {
		return
	}
	data := tree{}
	for key, value := range asTree(object["data"]) {
		data[key] = value
	}
	for key, value := range plain {
		switch value := value.(type) {
		case string:
			data[key] = base64.StdEncoding.EncodeToString([]byte(value))
		case nil:
			data[key] = ""
		default:
			return
		}
	}
	delete(object, "stringData")
	object["data"] = data
}

// storedAccount sets the two names of a pod's service account: the server
// copies the one into the other, and back.
func storedAccount(object tree, podSpec []string) {
	for _, names := range [][]string{{"serviceAccountName", "serviceAccount"}, {"serviceAccount", "serviceAccountName"}} {
		from, to := slices.Concat(podSpec, names[:1]), slices.Concat(podSpec, names[1:])
		name, _, _ := unstructured.NestedString(object, from...)
		if name == "" {
			continue
		}
		// serviceAccountName comes first and wins, as it does in the server.
		_ = unstructured.SetNestedField(object, name, to...) // cannot fail: its parent was read above
		return
	}
}

// podSpecOf is where a built-in kind has the spec of its pods, nil where it has
// none.
func podSpecOf(group, kind string) []string {
	template := []string{"spec", "template", "spec"}
	switch group + "/" + kind {
	case "/Pod":
		return []string{"spec"}
	case "/ReplicationController", "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "batch/Job":
		return template
	case "batch/CronJob":
		return append([]string{"spec", "jobTemplate"}, template...)
	}
	return nil
}
