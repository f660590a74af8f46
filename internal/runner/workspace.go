package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
)

// folderClaim marks the claim that stands for a folder of the caller's.
const folderClaim = "folder:"

// folderBinding binds a workspace to a folder of this machine: for Tekton it is
// a claim, which outlives the tasks as the folder does.
func folderBinding(name string) pipelinev1.WorkspaceBinding {
	return pipelinev1.WorkspaceBinding{Name: name, PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: folderClaim + name}}
}

// workspaceFolder returns the folder that a binding of a TaskRun stands for, and
// makes it. pod is the folder of the TaskRun.
func (r *Runner) workspaceFolder(pod string, b pipelinev1.WorkspaceBinding) (string, error) {
	b = *b.DeepCopy()
	unmaskAll(&b)
	folder, err := r.volumeFolder(pod, b)
	if err != nil {
		return "", fmt.Errorf("workspace %s: %w", b.Name, err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil || b.SubPath == "" {
		return folder, err
	}
	// A step may have put a link there.
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", fmt.Errorf("workspace %s: %w", b.Name, err)
	}
	defer root.Close()
	if err := root.MkdirAll(b.SubPath, 0o755); err != nil {
		return "", fmt.Errorf("workspace %s: the subPath %q: %w", b.Name, b.SubPath, err)
	}
	return filepath.Join(folder, b.SubPath), nil
}

func (r *Runner) volumeFolder(pod string, b pipelinev1.WorkspaceBinding) (string, error) {
	own := filepath.Join(pod, "volumes", filepath.Base(b.Name))
	switch {
	case b.PersistentVolumeClaim != nil:
		claim := b.PersistentVolumeClaim.ClaimName
		if name, ok := strings.CutPrefix(claim, folderClaim); ok {
			folder, ok := r.Folders[name]
			if !ok {
				return "", fmt.Errorf("no folder is bound to %s", name)
			}
			return folder, nil
		}
		if !filepath.IsLocal(claim) {
			return "", fmt.Errorf("%q is no name of a claim", claim)
		}
		return filepath.Join(r.Dir, "claims", claim), nil
	case b.ConfigMap != nil:
		return own, r.writeConfigMap(own, b.ConfigMap)
	case b.Secret != nil:
		return own, r.writeSecret(own, b.Secret)
	}
	return own, nil
}

func (r *Runner) writeConfigMap(dir string, source *corev1.ConfigMapVolumeSource) error {
	files := map[string][]byte{}
	m, ok := r.Catalog.configMaps[source.Name]
	if !ok && (source.Optional == nil || !*source.Optional) {
		return fmt.Errorf("there is no ConfigMap %s among the files of this run", source.Name)
	}
	if ok {
		for key, value := range m.Data {
			files[key] = []byte(value)
		}
		for key, value := range m.BinaryData {
			files[key] = value
		}
	}
	return writeItems(dir, files, source.Items)
}

func (r *Runner) writeSecret(dir string, source *corev1.SecretVolumeSource) error {
	s, ok := r.Catalog.secrets[source.SecretName]
	if !ok && (source.Optional == nil || !*source.Optional) {
		return fmt.Errorf("there is no Secret %s among the files of this run", source.SecretName)
	}
	files := map[string][]byte{}
	if ok {
		files = secretData(s)
	}
	return writeItems(dir, files, source.Items)
}

func secretData(s *corev1.Secret) map[string][]byte {
	data := map[string][]byte{}
	for key, value := range s.Data {
		data[key] = value
	}
	for key, value := range s.StringData {
		data[key] = []byte(value)
	}
	return data
}

// writeItems writes the files that a volume of keys shows.
func writeItems(dir string, files map[string][]byte, items []corev1.KeyToPath) error {
	if len(items) > 0 {
		chosen := map[string][]byte{}
		for _, item := range items {
			value, ok := files[item.Key]
			if !ok {
				return fmt.Errorf("there is no key %s", item.Key)
			}
			chosen[item.Path] = value
		}
		files = chosen
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for name, content := range files {
		if parent := filepath.Dir(name); parent != "." {
			if err := root.MkdirAll(parent, 0o700); err != nil {
				return err
			}
		}
		if err := root.WriteFile(name, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
