package main

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/local"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"lockstep": main}) }

// TestSessions runs pipelines of small scripts on this machine. What the
// project's own Tasks do in the runner is tested in tasks/ and pipelines/.
func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"freeport": freePort, "eventually": eventually},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("TMPDIR", filepath.Join(env.WorkDir, "tmp"))
			env.Setenv("LOCKSTEP_STATE", filepath.Join(env.WorkDir, "state"))
			// Where lockstep is, and nothing else.
			env.Setenv("BIN", filepath.SplitList(env.Getenv("PATH"))[0])
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				env.Setenv("GIT_"+who+"_NAME", "Ada")
				env.Setenv("GIT_"+who+"_EMAIL", "ada@example.com")
			}
			env.Defer(func() { stopServers(t, env.WorkDir) })
			return os.Mkdir(filepath.Join(env.WorkDir, "tmp"), 0o755)
		},
	})
}

// stopServers ends what a session that failed left running.
func stopServers(t *testing.T, dir string) {
	for _, state := range []string{"state", "other"} {
		if _, err := local.Stop(context.Background(), filepath.Join(dir, state, "local", "servers")); err != nil {
			t.Error(err)
		}
	}
}

// freePort sets a variable to a port on which nobody listens. It is none of
// those that the system gives to outgoing connections.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport VARIABLE")
	}
	for {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			ts.Check(l.Close())
			ts.Setenv(args[0], port)
			return
		}
	}
}

// eventually runs a command until its output matches a pattern.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually PATTERN COMMAND …")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v did not print %q within a minute: %v", args[1:], args[0], err)
		}
	}
}
