package cluster

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Applied reads the objects of a manifest that was applied earlier. It only
// says what was there: an object whose API version the cluster no longer serves
// is read in another version. gone names the objects whose kind the cluster no
// longer has; they went with it.
func (c *Client) Applied(manifest string) (objects []Object, gone []string, err error) {
	infos, gone, err := c.applied(manifest)
	if err != nil {
		return nil, nil, fmt.Errorf("read the objects of an earlier manifest: %w", err)
	}
	for _, info := range infos {
		o, err := objectOf(info)
		if err != nil {
			return nil, nil, err
		}
		objects = append(objects, o)
	}
	return objects, gone, nil
}

func (c *Client) applied(manifest string) (kube.ResourceList, []string, error) {
	infos, err := c.helm().Build(strings.NewReader(manifest), false)
	if err == nil {
		return infos, nil, nil
	}
	served, gone, err2 := c.inServedVersions(manifest)
	if err2 != nil {
		return nil, nil, errors.Join(err, err2)
	}
	infos, err = c.helm().Build(bytes.NewReader(served), false)
	return infos, gone, err
}

// inServedVersions writes a manifest with every object in a version that the
// cluster serves, and without those that have none.
func (c *Client) inServedVersions(manifest string) (served []byte, gone []string, err error) {
	var out bytes.Buffer
	for documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifest))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return out.Bytes(), gone, nil
		}
		if err != nil {
			return nil, nil, err
		}
		objects, err := objectsOf(document)
		if err != nil {
			return nil, nil, err
		}
		for _, o := range objects {
			found, err := c.serve(o)
			if err != nil {
				return nil, nil, err
			}
			if !found {
				gone = append(gone, o.GetKind()+" "+o.GetName())
				continue
			}
			text, err := o.MarshalJSON()
			if err != nil {
				return nil, nil, err
			}
			out.WriteString("---\n")
			out.Write(text)
		}
	}
}

// objectsOf are the objects of one document, which may be none or a list.
func objectsOf(document []byte) ([]*unstructured.Unstructured, error) {
	text, err := yaml.ToJSON(document)
	if err != nil || string(bytes.TrimSpace(text)) == "null" {
		return nil, err
	}
	decoded, err := runtime.Decode(unstructured.UnstructuredJSONScheme, text)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	switch decoded := decoded.(type) {
	case *unstructured.Unstructured:
		objects = append(objects, decoded)
	case *unstructured.UnstructuredList:
		for i := range decoded.Items {
			objects = append(objects, &decoded.Items[i])
		}
	}
	return objects, nil
}

// serve gives an object an API version that the cluster has, and reports whether
// there is one.
func (c *Client) serve(o *unstructured.Unstructured) (bool, error) {
	was := o.GroupVersionKind()
	now, err := c.servedAs(was)
	if meta.IsNoMatchError(err) {
		slog.Warn("the cluster no longer has this kind, so that nothing is left of an object that was deployed", "object", was.Kind+" "+o.GetName(), "version", was.GroupVersion())
		return false, c.discovered(was.Group)
	}
	if err != nil || was == now {
		return err == nil, err
	}
	slog.Info("the API version of an object that was deployed is gone: going on with another", "object", was.Kind+" "+o.GetName(), "was", was.GroupVersion(), "is", now.GroupVersion())
	o.SetGroupVersionKind(now)
	return true, nil
}

// servedAs is a kind in a version that the cluster serves, by preference the
// given one.
func (c *Client) servedAs(kind schema.GroupVersionKind) (schema.GroupVersionKind, error) {
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	for _, group := range []string{kind.Group, movedTo(kind.GroupKind())} {
		if !meta.IsNoMatchError(err) {
			break
		}
		mapping, err = c.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind.Kind})
	}
	if err != nil {
		return schema.GroupVersionKind{}, err
	}
	return mapping.GroupVersionKind, nil
}

// movedTo is the group to which Kubernetes moved a kind; elsewhere its own.
// The objects are the same in both.
func movedTo(kind schema.GroupKind) string {
	if kind.Group != "extensions" {
		return kind.Group
	}
	switch kind.Kind {
	case "Ingress", "NetworkPolicy":
		return "networking.k8s.io"
	case "Deployment", "DaemonSet", "ReplicaSet":
		return "apps"
	case "PodSecurityPolicy":
		return "policy"
	}
	return kind.Group
}

// discovered checks that the cluster told all about a group. An API server
// behind the cluster's that is down must not make its kinds look gone.
func (c *Client) discovered(group string) error {
	groups, err := c.discovery.ServerGroups()
	if err != nil {
		return fmt.Errorf("list the API groups: %w", err)
	}
	for _, g := range groups.Groups {
		for _, version := range g.Versions {
			if g.Name != group {
				continue
			}
			if _, err := c.discovery.ServerResourcesForGroupVersion(version.GroupVersion); err != nil {
				return fmt.Errorf("list the kinds of %s: %w", version.GroupVersion, err)
			}
		}
	}
	return nil
}

// Build reads a manifest. What is on record is read as Applied does, so that an
// API version that is gone does not stand in the way of what comes after it.
// What is to be applied must be right: it is validated.
func (a *Applier) Build(manifest io.Reader, validate bool) (kube.ResourceList, error) {
	text, err := io.ReadAll(manifest)
	if err != nil {
		return nil, err
	}
	if validate || !a.Recorded[string(text)] {
		return a.Client.Build(bytes.NewReader(text), validate)
	}
	infos, _, err := a.client.applied(string(text))
	return infos, err
}
