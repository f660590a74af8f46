// Package environmenttest writes deployment records for the sessions of tests.
package environmenttest

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/environment"
)

// Record is the command of a session that says what became of the tip of main in
// $REPOSITORIES/<environment>.git, as the program record does:
//
//	record <environment> <state> <application>=<version> …
func Record(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: record environment state application=version …")
	}
	repository := filepath.Join(ts.Getenv("REPOSITORIES"), args[0]+".git")
	ts.Check(ts.Exec("git", "-C", repository, "rev-parse", "main"))
	commit := strings.TrimSpace(ts.ReadFile("stdout"))
	now := time.Now()
	r := environment.Record{
		State: environment.State(args[1]), Environment: args[0], Commit: commit, Run: "acme/1", Revision: 1,
		Started: now.Add(-time.Minute), Finished: now, Unhealthy: args[1] == string(environment.Failed),
	}
	for _, arg := range args[2:] {
		name, version, _ := strings.Cut(arg, "=")
		r.Applications = append(r.Applications, environment.Application{Name: name, Version: version})
	}
	note, err := json.Marshal(r)
	ts.Check(err)
	ts.Check(ts.Exec("git", "-C", repository, "notes", "--ref=lockstep", "append", "-m", string(note), commit))
}
