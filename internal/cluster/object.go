package cluster

import (
	"bytes"
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
)

// Object is one object of a manifest, known to the cluster.
type Object struct {
	Kind      string // "Deployment"
	Namespace string // "" when the kind has no namespaces
	Name      string
	Resource  schema.GroupVersionResource
	Content   *unstructured.Unstructured // as the manifest has it

	info *resource.Info
}

// String is how messages name the object: "Deployment user-service".
func (o Object) String() string { return o.Kind + " " + o.Name }

// MayBeGone reports whether the object's absence is its own doing: a Job that
// is deleted some time after it finished.
func (o Object) MayBeGone() bool {
	_, expires, _ := unstructured.NestedInt64(o.Content.Object, "spec", "ttlSecondsAfterFinished")
	return o.Kind == "Job" && expires
}

// Objects reads a manifest, a stream of YAML documents. Objects without a
// namespace get the client's.
func (c *Client) Objects(manifest string) ([]Object, error) {
	infos, err := c.helm().Build(bytes.NewBufferString(manifest), false)
	if err != nil {
		return nil, fmt.Errorf("read the objects of a manifest: %w", err)
	}
	var objects []Object
	for _, info := range infos {
		o, err := objectOf(info)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

func objectOf(info *resource.Info) (Object, error) {
	content, ok := info.Object.(*unstructured.Unstructured)
	if !ok {
		return Object{}, fmt.Errorf("%s is a %T, not unstructured", nameOf(info), info.Object)
	}
	return Object{
		Kind: info.Mapping.GroupVersionKind.Kind, Namespace: info.Namespace, Name: info.Name,
		Resource: info.Mapping.Resource, Content: content, info: info,
	}, nil
}

// helm is Helm's own Kubernetes client over this connection.
func (c *Client) helm() *kube.Client {
	client := kube.New(c)
	client.Namespace = c.namespace
	return client
}

func nameOf(info *resource.Info) string {
	return info.Mapping.GroupVersionKind.Kind + " " + info.Name
}

// isSecret tells whether an object's values must not be shown.
func isSecret(content *unstructured.Unstructured) bool {
	return content != nil && content.GetKind() == "Secret" && strings.HasPrefix(content.GetAPIVersion(), "v1")
}
