package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/environment/environmenttest"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"promote": main}) }

// TestSessions gives each session a Git host ($HOST) and a repository of charts
// ($CHARTS), which serves the folder charts.
func TestSessions(t *testing.T) {
	params := registrytest.WithCharts(gittest.Sessions(t, "testdata"))
	params.Cmds["record"] = environmenttest.Record
	testscript.Run(t, params)
}

// TestPullRequests gives its sessions a real Gitea.
func TestPullRequests(t *testing.T) {
	params := giteatest.Sessions(t, "testdata/gitea")
	params.Cmds["record"] = environmenttest.Record
	testscript.Run(t, params)
}
