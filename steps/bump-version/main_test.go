package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"bump-version": main}) }

func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": gittest.Exits},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			for _, role := range []string{"AUTHOR", "COMMITTER"} {
				env.Setenv("GIT_"+role+"_NAME", "Tester")
				env.Setenv("GIT_"+role+"_EMAIL", "tester@example.com")
			}
			return nil
		},
	})
}
