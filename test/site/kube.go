package site

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kubectl runs kubectl against the cluster.
func (s *Site) Kubectl(ctx context.Context, args ...string) (string, error) {
	return command{}.run(ctx, "kubectl", args...)
}

// Get reads an object, or a list of them, into value.
func (s *Site) Get(ctx context.Context, value any, args ...string) error {
	out, err := s.Kubectl(ctx, append([]string{"get", "-o", "json"}, args...)...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), value)
}

// apply applies manifests as this package's field manager.
func (s *Site) apply(ctx context.Context, namespace, manifests string) error {
	args := []string{"apply", "--server-side", "--force-conflicts", "--field-manager=lockstep-site", "-f", "-"}
	if namespace != "" {
		args = append(args, "-n", namespace)
	}
	_, err := command{stdin: manifests}.run(ctx, "kubectl", args...)
	return err
}

// applyTemplate applies a file with its values filled in.
func (s *Site) applyTemplate(ctx context.Context, name string, values map[string]string) error {
	manifests, err := s.fill(name, values)
	if err != nil {
		return err
	}
	if err := s.apply(ctx, "", manifests); err != nil {
		return fmt.Errorf("apply %s: %w", name, err)
	}
	return nil
}

// secret creates a secret once; later calls keep what is there.
func (s *Site) secret(ctx context.Context, namespace, name string, values map[string]string) error {
	if _, err := s.Kubectl(ctx, "get", "secret", name, "-n", namespace); err == nil {
		return nil
	}
	data := map[string]string{}
	for key, value := range values {
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": name, "namespace": namespace},
		"data":     data,
	})
	if err != nil {
		return err
	}
	return s.apply(ctx, "", string(manifest))
}

// SecretValue reads one value of a secret.
func (s *Site) SecretValue(ctx context.Context, namespace, name, key string) (string, error) {
	var secret struct{ Data map[string][]byte }
	if err := s.Get(ctx, &secret, "secret", name, "-n", namespace); err != nil {
		return "", err
	}
	value, ok := secret.Data[key]
	if !ok {
		return "", fmt.Errorf("secret %s/%s has no %s, only %v", namespace, name, key, slices.Sorted(maps.Keys(secret.Data)))
	}
	return string(value), nil
}

// random is a new secret of 32 bytes in hex.
func random() string { return strings.ToLower(rand.Text() + rand.Text()) }

// service is the address of a Service within the cluster, and its first port.
func (s *Site) service(ctx context.Context, namespace, name string) (ip string, port int, err error) {
	var service struct {
		Spec struct {
			ClusterIP string
			Ports     []struct{ Port int }
		}
	}
	if err := s.Get(ctx, &service, "service", name, "-n", namespace); err != nil {
		return "", 0, err
	}
	if len(service.Spec.Ports) == 0 {
		return "", 0, fmt.Errorf("service %s/%s has no port", namespace, name)
	}
	return service.Spec.ClusterIP, service.Spec.Ports[0].Port, nil
}
