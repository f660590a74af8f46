package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"promote": main}) }

// TestSessions gives each session a Git host ($HOST) and a repository of charts
// ($CHARTS), which serves the folder charts.
func TestSessions(t *testing.T) {
	params := registrytest.WithCharts(gittest.Sessions(t, "testdata"))
	params.Cmds["record"] = record
	testscript.Run(t, params)
}

// record says that an environment verified a version, as the program record
// does: record <file with the commit> <environment> <version> [application]
func record(ts *testscript.TestScript, _ bool, args []string) {
	commit := strings.TrimSpace(ts.ReadFile(args[0]))
	application := "user-service"
	if len(args) > 3 {
		application = args[3]
	}
	note, err := json.Marshal(environment.Record{
		State: environment.Verified, Environment: args[1], Commit: commit, Run: "acme/1", Revision: 1,
		Started: time.Now().Add(-time.Minute), Finished: time.Now(),
		Applications: []environment.Application{{Name: application, Version: args[2]}},
	})
	ts.Check(err)
	ts.Check(ts.Exec("git", "-C", ts.Getenv("REPOSITORIES")+"/"+args[1]+".git", "notes", "--ref=lockstep", "append", "-m", string(note), commit))
}

// TestPullRequests gives its sessions a real Gitea.
func TestPullRequests(t *testing.T) {
	params := giteatest.Sessions(t, "testdata/gitea")
	params.Cmds["record"] = record
	testscript.Run(t, params)
}
