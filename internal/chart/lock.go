package chart

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

const lockHint = "Run `helm dependency update` and commit the lock."

// readLock returns nil where there is no lock. A lock of the other form beside
// the right one would be Helm's choice by alphabet; it is refused.
func readLock(files []*loader.BufferedFile, name string) (*helmchart.Lock, error) {
	other := chartLock
	if name == chartLock {
		other = requirementsLock
	}
	if find(files, other) != nil && find(files, name) != nil {
		return nil, fault.Refused("DependenciesTwice", fmt.Errorf("there are both %s and %s: %w", name, other, ErrStale),
			fmt.Sprintf("Remove %s.", other))
	}
	if find(files, name) == nil {
		return nil, nil
	}
	c, err := metadataOf(files, chartFile, name)
	if err != nil {
		return nil, err
	}
	if c.Lock == nil {
		return nil, fault.Refused("LockStale", fmt.Errorf("%s is empty: %w", name, ErrStale), lockHint)
	}
	return c.Lock, nil
}

// checkLock compares the lock with the entries it claims to lock: its digest,
// as Helm computes it, and then name by name, so that the error can say where.
func checkLock(lock *helmchart.Lock, lockFile string, entries []*helmchart.Dependency, apiVersion, file string) error {
	if len(lock.Dependencies) != len(entries) {
		return staleLock(fmt.Errorf("%s locks %d dependencies, %s has %d", lockFile, len(lock.Dependencies), file, len(entries)))
	}
	for i, entry := range entries {
		locked := lock.Dependencies[i]
		if locked == nil || locked.Name != entry.Name || !allows(entry, locked.Version) {
			return staleLock(fmt.Errorf("%s: entry %d is not %s %s of %s", lockFile, i, entry.Name, entry.Version, file))
		}
	}
	digest, err := LockDigest(entries, lock.Dependencies)
	if err != nil {
		return err
	}
	if digest == lock.Digest {
		return nil
	}
	// Helm 2 left a digest of the entries alone; Helm 3 accepts it for v1.
	if old, err := helm2Digest(entries); err != nil || apiVersion != helmchart.APIVersionV1 || old != lock.Digest {
		return staleLock(fmt.Errorf("%s has the digest %s, the dependencies of %s give %s", lockFile, lock.Digest, file, digest))
	}
	return nil
}

func allows(entry *helmchart.Dependency, version string) bool {
	return sameVersion(version, dependency{Dependency: entry, version: entry.Version})
}

func staleLock(err error) error {
	return fault.Refused("LockStale", fmt.Errorf("%w: %w", err, ErrStale), lockHint)
}

// LockDigest is the digest of a lock as Helm 3 writes it: over the entries and
// the locked entries, both as JSON with their Go fields in order.
func LockDigest(entries, locked []*Dependency) (string, error) {
	return digestJSON([2][]*helmchart.Dependency{entries, locked})
}

func helm2Digest(entries []*helmchart.Dependency) (string, error) {
	return digestJSON(map[string][]*helmchart.Dependency{"dependencies": entries})
}

func digestJSON(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data)), nil
}
