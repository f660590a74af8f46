package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"package-chart": main}) }

// TestSessions runs each session with an OCI registry at $REGISTRY and a
// ChartMuseum at $MUSEUM, both its own.
func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fetch": fetch,
			"login": login,
			"age":   age,
		},
	})
}

func setup(env *testscript.Env) error {
	oci, museum := registrytest.Start(registrytest.OCI()), registrytest.Start(registrytest.Museum())
	env.Defer(oci.Close)
	env.Defer(museum.Close)
	env.Values["oci"], env.Values["museum"] = oci, museum
	env.Setenv("REGISTRY", oci.Host())
	env.Setenv("MUSEUM", museum.URL)
	env.Setenv("MUSEUM_HOST", museum.Host())
	env.Setenv("TMPDIR", env.WorkDir+"/tmp")
	env.Setenv("HOME", env.WorkDir+"/home")
	return os.Mkdir(filepath.Join(env.WorkDir, "tmp"), 0o755)
}

// fetch unpacks a published chart as helm-apply would load it and prints its
// values and what it depends on: fetch <repository> <name> <version>
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	client, err := registry.New(registry.Access{})
	ts.Check(err)
	found, err := client.LocateCharts(context.Background(), registry.ChartRef{Repository: args[0], Name: args[1], Version: args[2]})
	ts.Check(err)
	content, err := client.DownloadChart(context.Background(), found[0])
	ts.Check(err)
	c, err := chart.Open(content)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s %s app %s\n", c.Name(), c.Metadata.Version, c.Metadata.AppVersion)
	for _, f := range c.Raw {
		if f.Name == "values.yaml" {
			fmt.Fprintf(ts.Stdout(), "%s", f.Data)
		}
	}
	for _, sub := range c.Dependencies() {
		fmt.Fprintf(ts.Stdout(), "with %s %s\n", sub.Name(), sub.Metadata.Version)
	}
}

// login makes a server ask for credentials: login oci|museum <user> <password>
func login(ts *testscript.TestScript, neg bool, args []string) {
	ts.Value(args[0]).(*registrytest.Server).RequireLogin(args[1], args[2])
}

// age sets another modification time, as another clone would have.
func age(ts *testscript.TestScript, neg bool, args []string) {
	for _, path := range args {
		info, err := os.Stat(ts.MkAbs(path))
		ts.Check(err)
		past := info.ModTime().AddDate(-1, 0, 0)
		ts.Check(os.Chtimes(ts.MkAbs(path), past, past))
	}
}
