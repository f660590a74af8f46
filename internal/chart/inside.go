package chart

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Inside is the folder at path in a workspace. It lies there and nowhere else:
// not above the workspace, and not behind a link that leads out of it. Whether
// it is there is Load's to say.
func Inside(workspace, path string) (string, error) {
	if !filepath.IsLocal(path) {
		return "", fault.Refused("PathRefused", fmt.Errorf("path %q leaves the workspace", path), "Example: charts/staging")
	}
	root, err := os.OpenRoot(workspace)
	if os.IsNotExist(err) {
		return filepath.Join(workspace, path), nil
	}
	if err != nil {
		return "", fmt.Errorf("open the workspace: %w", err)
	}
	defer root.Close()
	if _, err := root.Stat(path); err != nil && !os.IsNotExist(err) {
		return "", fault.Refused("PathRefused", fmt.Errorf("path %q: %w", path, err), "Example: charts/staging")
	}
	return filepath.Join(workspace, path), nil
}
