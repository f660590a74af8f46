package main

import (
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lockstep-cd/lockstep/internal/runner"
)

type object = metav1.Object

// store keeps runs where programs keep their state: $LOCKSTEP_STATE, or
// lockstep below $XDG_STATE_HOME or ~/.local/state.
func store() runner.Store {
	return runner.Store{Dir: filepath.Join(stateFolder(), "runs")}
}

func stateFolder() string {
	if dir := os.Getenv("LOCKSTEP_STATE"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "lockstep")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".local", "state", "lockstep")
}

// cacheFolder holds what can be built again: $LOCKSTEP_CACHE, or lockstep below
// the user's cache folder.
func cacheFolder() string {
	if dir := os.Getenv("LOCKSTEP_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "lockstep")
}
