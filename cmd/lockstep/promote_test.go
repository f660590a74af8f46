package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// TestPromote runs sessions against a Git host and a repository of charts
// ($CHARTS), which serves the folder charts.
func TestPromote(t *testing.T) {
	params := gittest.Sessions(t, "testdata/promote")
	hosts := params.Setup
	params.Setup = func(env *testscript.Env) error {
		charts := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(env.WorkDir, "charts"))))
		env.Defer(charts.Close)
		env.Setenv("CHARTS", charts.URL)
		return hosts(env)
	}
	testscript.Run(t, params)
}

// TestPullRequests runs sessions against a real Gitea.
func TestPullRequests(t *testing.T) { testscript.Run(t, giteatest.Sessions(t, "testdata/gitea")) }
