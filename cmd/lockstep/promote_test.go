package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/environment/environmenttest"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

// TestPromote runs sessions against a Git host and a repository of charts
// ($CHARTS), which serves the folder charts.
func TestPromote(t *testing.T) {
	params := registrytest.WithCharts(gittest.Sessions(t, "testdata/promote"))
	params.Cmds["record"] = environmenttest.Record
	testscript.Run(t, params)
}

// TestCatalog runs sessions that make, change and delete environments.
func TestCatalog(t *testing.T) {
	params := gittest.Sessions(t, "testdata/catalog")
	params.Cmds["record"] = environmenttest.Record
	testscript.Run(t, params)
}

// TestPullRequests runs sessions against a real Gitea.
func TestPullRequests(t *testing.T) { testscript.Run(t, giteatest.Sessions(t, "testdata/gitea")) }
