package cluster

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/redact"
)

// Secrets is where Helm keeps its release records.
func (c *Client) Secrets() corev1.SecretInterface {
	return c.typed.CoreV1().Secrets(c.namespace)
}

// EnsureNamespace creates the client's namespace unless it exists.
func (c *Client) EnsureNamespace(ctx context.Context) error {
	namespaces := c.typed.CoreV1().Namespaces()
	_, err := namespaces.Get(ctx, c.namespace, metav1.GetOptions{})
	if err == nil {
		return nil
	}
	if apierrors.IsNotFound(err) {
		_, err = namespaces.Create(ctx, &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}}, metav1.CreateOptions{})
	}
	if err == nil || apierrors.IsAlreadyExists(err) {
		return nil
	}
	return fmt.Errorf("create namespace %s: %w", c.namespace, err)
}

// NamespaceError explains err when it came from a namespace that does not
// exist, and returns it unchanged otherwise.
func (c *Client) NamespaceError(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) && apierrors.IsNotFound(err) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces" {
		return fault.Retryable("NamespaceMissing", err, fmt.Sprintf("create namespace %s, or set create-namespace", c.namespace))
	}
	return err
}

// LastLines are the last lines that a container wrote, of its previous run
// when asked. What it wrote is returned as it is: redacting is the caller's.
func (c *Client) LastLines(ctx context.Context, namespace, pod, container string, previous bool, lines int64) (string, error) {
	const limit = 16 << 10
	stream, err := c.typed.CoreV1().Pods(namespace).GetLogs(pod, &core.PodLogOptions{
		Container: container, Previous: previous, TailLines: &lines, LimitBytes: ptr(int64(limit)),
	}).Stream(ctx)
	if err != nil {
		return "", fmt.Errorf("read the log of %s/%s: %w", pod, container, err)
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, limit))
	if err != nil {
		return "", fmt.Errorf("read the log of %s/%s: %w", pod, container, err)
	}
	return string(text), nil
}

// CopyLog writes what a container has written; with follow, until it ends. What it
// wrote is passed on as it is.
func (c *Client) CopyLog(ctx context.Context, namespace, pod, container string, follow bool, to io.Writer) error {
	stream, err := c.typed.CoreV1().Pods(namespace).GetLogs(pod, &core.PodLogOptions{Container: container, Follow: follow}).Stream(ctx)
	if err != nil {
		return fmt.Errorf("read the log of %s/%s: %w", pod, container, err)
	}
	defer stream.Close()
	if _, err := io.Copy(to, stream); err != nil {
		return fmt.Errorf("read the log of %s/%s: %w", pod, container, err)
	}
	return nil
}

// SecretChanges receives whenever a Secret of the client's namespace has
// changed, until ctx ends.
func (c *Client) SecretChanges(ctx context.Context) (<-chan struct{}, error) {
	view, err := c.View(ctx, Source{Resource: core.SchemeGroupVersion.WithResource("secrets"), Namespace: c.namespace})
	if err != nil {
		return nil, err
	}
	return view.Changed(), nil
}

// SecretValues are the values of the Secrets among the objects, plain and
// encoded, for Conceal.
func SecretValues(objects []Object) []string {
	var values []string
	for _, o := range objects {
		if !isSecret(o.Content) {
			continue
		}
		data, _, _ := unstructured.NestedStringMap(o.Content.Object, "data")
		for _, encoded := range data {
			values = append(values, encoded)
			if plain, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				values = append(values, string(plain))
			}
		}
		plain, _, _ := unstructured.NestedStringMap(o.Content.Object, "stringData")
		for _, value := range plain {
			values = append(values, value, base64.StdEncoding.EncodeToString([]byte(value)))
		}
	}
	return values
}

// Conceal takes values out of an error's text.
func Conceal(err error, secrets []string) error { return redact.Error(err, secrets...) }
