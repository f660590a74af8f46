package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"lockstep": main}) }

// TestSessions runs pipelines of small scripts on this machine. What the
// project's own Tasks do in the runner is tested in tasks/ and pipelines/.
func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("TMPDIR", filepath.Join(env.WorkDir, "tmp"))
			env.Setenv("LOCKSTEP_STATE", filepath.Join(env.WorkDir, "state"))
			return os.Mkdir(filepath.Join(env.WorkDir, "tmp"), 0o755)
		},
	})
}
