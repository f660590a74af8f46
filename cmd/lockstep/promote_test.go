package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// TestPromote runs sessions against a Git host.
func TestPromote(t *testing.T) {
	params := gittest.Sessions(t, "testdata/promote")
	params.Cmds["expand"] = expand
	testscript.Run(t, params)
}

// expand fills variables of the session into files: expand <file> …
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(os.Expand(ts.ReadFile(file), ts.Getenv)), 0o644))
	}
}
