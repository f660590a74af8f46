package edit

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// ErrStaleLock says that a lock did not belong to its chart before an edit, so
// that there is nothing to keep in step.
var ErrStaleLock = errors.New("the lock does not belong to the dependencies beside it")

// StaleLock is the fault reason of ErrStaleLock.
const StaleLock = "StaleLock"

// Relock keeps a requirements.lock or Chart.lock in step with an edit of the
// file with the dependencies, of which before and after are the texts: versions
// and repositories that changed, or one entry more at the end or one less. It
// writes these and the digest; the date stays, since only Helm's resolver may
// claim to have looked at the repositories.
//
// A lock whose digest did not fit before is left alone: ErrStaleLock.
func Relock(lock, before, after []byte) ([]byte, error) {
	old, err := Dependencies(before)
	if err != nil {
		return nil, err
	}
	wanted, err := Dependencies(after)
	if err != nil {
		return nil, err
	}
	digest, err := lockDigest(lock, old)
	if err != nil {
		return nil, err
	}
	switch len(wanted) - len(old) {
	case 1:
		d := wanted[len(old)]
		lock, err = addItem(lock, field{"name", d.Name}, field{"repository", d.Repository}, field{"version", d.Version})
	case -1:
		lock, err = removeItem(lock, missing(old, wanted))
	default:
		lock, err = relockVersions(lock, old, wanted)
	}
	if err != nil {
		return nil, err
	}
	_, locked, err := readDependencies(lock)
	if err != nil {
		return nil, err
	}
	return setText(lock, ".digest", digest(wanted, locked))
}

// relockVersions writes what changed of entries that both lists have.
func relockVersions(lock []byte, old, wanted []Dependency) (_ []byte, err error) {
	for i := range wanted {
		for key, change := range map[string][2]string{
			"version":    {old[i].Version, wanted[i].Version},
			"repository": {old[i].Repository, wanted[i].Repository},
		} {
			if change[0] == change[1] {
				continue
			}
			path := fmt.Sprintf(".dependencies[%d].%s", i, key)
			if lock, err = setText(lock, path, change[1]); err != nil {
				return nil, err
			}
		}
	}
	return lock, nil
}

// missing is the place in old of the first entry that wanted has not.
func missing(old, wanted []Dependency) int {
	for i, d := range wanted {
		if d.EffectiveName() != old[i].EffectiveName() {
			return i
		}
	}
	return len(wanted)
}

func setText(file []byte, path, value string) ([]byte, error) {
	t, node, err := find(file, path)
	if err != nil {
		return nil, err
	}
	return replace(t, node, value, text)
}

// digestFunc computes a lock's digest over the wanted and locked entries.
type digestFunc func(wanted, locked []Dependency) string

// lockDigest finds out which of Helm's two ways made the lock's digest.
func lockDigest(lock []byte, wanted []Dependency) (digestFunc, error) {
	t, locked, err := readDependencies(lock)
	if err != nil {
		return nil, err
	}
	if len(t.Documents()) == 0 {
		return nil, stale(yaml.Node{})
	}
	node := t.Documents()[0].Get("digest")
	if !node.Exists() || len(locked) != len(wanted) {
		return nil, stale(node)
	}
	for _, digest := range []digestFunc{helm3Digest, helm2Digest} {
		if node.Text() == digest(wanted, locked) && sameCharts(wanted, locked) {
			return digest, nil
		}
	}
	return nil, stale(node)
}

func stale(node yaml.Node) error {
	return refuse(StaleLock, ErrStaleLock, node.Errorf("%v", ErrStaleLock),
		"Run `helm dependency update` and commit the lock.")
}

// sameCharts matters for Helm 2's digest, which does not cover the lock.
func sameCharts(wanted, locked []Dependency) bool {
	for i := range wanted {
		if wanted[i].Name != locked[i].Name {
			return false
		}
	}
	return true
}

// helm3Digest is the SHA-256 of the JSON array of both lists, which Helm 3
// compares in `helm dependency build`.
func helm3Digest(wanted, locked []Dependency) string {
	return sum([2][]Dependency{wanted, locked})
}

// helm2Digest covers the wanted entries only. Helm 3 still accepts it for
// charts of apiVersion v1.
func helm2Digest(wanted, _ []Dependency) string {
	return sum(map[string][]Dependency{"dependencies": wanted})
}

func sum(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		// Only strings, Booleans, numbers and what YAML made of import-values
		// go in; a float that JSON lacks (.inf) is no digest of Helm's either.
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(encoded))
}
