package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/environment/environmenttest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"create-environment": main}) }

// TestSessions gives each session a Git host ($HOST).
func TestSessions(t *testing.T) {
	params := gittest.Sessions(t, "testdata")
	params.Cmds["record"] = environmenttest.Record
	testscript.Run(t, params)
}
