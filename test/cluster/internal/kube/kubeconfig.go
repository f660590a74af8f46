// Package kube speaks to a test cluster's API server with nothing but HTTP, and writes kubeconfig files. It knows
// just what a start needs; tests use a real client.
package kube

import (
	"encoding/base64"
	"fmt"
	"os"
)

// Access is how somebody reaches an API server: PEM files of a client certificate, its key, and the authority.
type Access struct {
	Server, CA, Cert, Key string
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: %[1]s
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s}
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
`

// WriteConfig writes a kubeconfig with the certificates inside, whole, readable by its owner only. The name is used
// for cluster, user and context.
func (a Access) WriteConfig(path, name string) error {
	data := make([]any, 0, 3)
	for _, file := range []string{a.CA, a.Cert, a.Key} {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("write kubeconfig %s: %w", path, err)
		}
		data = append(data, base64.StdEncoding.EncodeToString(text))
	}
	text := fmt.Sprintf(kubeconfig, append([]any{name, a.Server}, data...)...)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
