package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"package-image": main}) }

// TestSessions runs each session with an OCI registry of its own at $REGISTRY,
// which holds a base image that runs as root ($BASE, by digest) and one that
// runs as nobody (base/nobody:1).
func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"describe": describe,
			"age":      age,
			"login":    login,
		},
	})
}

func setup(env *testscript.Env) error {
	server := registrytest.Start(registrytest.OCI())
	env.Defer(server.Close)
	base, err := registrytest.PushBase(server.Host()+"/base/root:1", "")
	if err != nil {
		return err
	}
	if _, err := registrytest.PushBase(server.Host()+"/base/nobody:1", "65534"); err != nil {
		return err
	}
	env.Values["server"] = server
	env.Setenv("REGISTRY", server.Host())
	env.Setenv("BASE", base)
	env.Setenv("TMPDIR", env.WorkDir)
	env.Setenv("HOME", env.WorkDir+"/home")
	return nil
}

// describe prints what an image holds: describe <reference>
func describe(ts *testscript.TestScript, neg bool, args []string) {
	text, err := registrytest.Describe(args[0])
	ts.Check(err)
	_, err = fmt.Fprint(ts.Stdout(), text)
	ts.Check(err)
}

// age sets another modification time and mode, as another clone would have.
func age(ts *testscript.TestScript, neg bool, args []string) {
	for _, path := range args {
		info, err := os.Stat(ts.MkAbs(path))
		ts.Check(err)
		past := info.ModTime().AddDate(-1, 0, 0)
		ts.Check(os.Chtimes(ts.MkAbs(path), past, past))
		ts.Check(os.Chmod(ts.MkAbs(path), info.Mode()&^0o066))
	}
}

// login makes the registry ask for credentials: login <user> <password>
func login(ts *testscript.TestScript, neg bool, args []string) {
	ts.Value("server").(*registrytest.Server).RequireLogin(args[0], args[1])
}
