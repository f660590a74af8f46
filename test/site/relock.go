package site

import (
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/lockstep-cd/lockstep/internal/chart"
)

// dependencyList is what requirements.yaml, Chart.yaml and the locks share.
type dependencyList struct {
	Dependencies []*chart.Dependency `json:"dependencies"`
	Digest       string              `json:"digest"`
}

func readList(c *Checkout, name string) (dependencyList, error) {
	var list dependencyList
	text, err := os.ReadFile(filepath.Join(c.Dir, name))
	if err != nil {
		return list, err
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		return list, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}

// Relock writes a lock's digest anew after both files got another repository:
// what `helm dependency update` would write, without asking that repository.
func (c *Checkout) Relock(file, lock string) error {
	wanted, err := readList(c, file)
	if err != nil {
		return err
	}
	locked, err := readList(c, lock)
	if err != nil {
		return err
	}
	digest, err := chart.LockDigest(wanted.Dependencies, locked.Dependencies)
	if err != nil {
		return err
	}
	return c.Replace(lock, locked.Digest, digest)
}
