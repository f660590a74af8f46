package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/environment/environmenttest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"reconcile": main}) }

// TestSessions gives each session a Git host ($HOST) and the light cluster with Lockstep
// in $NAMESPACE, where the program has the rights of examples/site/lockstep.yaml. The
// environments qa and production may have the namespaces $SHORT-qa and
// $SHORT-production; the pipelines of applications run in $APPLICATIONS; $MESSAGE is that
// of a commit that deletes qa. A further command:
//
//	objects NAMESPACE …   print what is in them, one object a line
func TestSessions(t *testing.T) {
	params := gittest.Sessions(t, "testdata")
	git := params.Setup
	params.Setup = func(env *testscript.Env) error {
		on := clustertest.Start(t)
		t.Setenv("KUBECONFIG", on.Kubeconfig)
		env.Setenv("KUBECONFIG", on.Lockstep(t))
		env.Values[clusterKey{}] = on
		env.Setenv("NAMESPACE", on.Namespace)
		env.Setenv("SHORT", on.Short())
		env.Setenv("APPLICATIONS", on.ApplicationsNamespace(t))
		env.Setenv("MESSAGE", "chore: delete environment qa\n\nLockstep-Operation: delete-environment\nLockstep-Environment: qa")
		for _, name := range []string{"qa", "production"} {
			on.RemoveNamespaces(t, on.Short()+"-"+name, on.Short()+"-"+name+"-lockstep")
		}
		return git(env)
	}
	params.Cmds["record"] = environmenttest.Record
	params.Cmds["objects"] = func(ts *testscript.TestScript, neg bool, args []string) {
		on := ts.Value(clusterKey{}).(*clustertest.Cluster)
		for _, name := range slices.Sorted(maps.Keys(on.Snapshot(t, args...))) {
			_, err := ts.Stdout().Write([]byte(name + "\n"))
			ts.Check(err)
		}
	}
	testscript.Run(t, params)
}

type clusterKey struct{}

// TestNames: whatever there is, the results fit into what Tekton keeps.
func TestNames(t *testing.T) {
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("environment-%02d-%s", i, strings.Repeat("x", 20)))
	}
	if got := names(many[:2]); got != many[0]+"\n"+many[1] {
		t.Errorf("two are %q", got)
	}
	got := strings.Split(names(many), "\n")
	if last := len(got) - 1; len(strings.Join(got, "\n")) > 310 || last < 5 || got[last] != "…" || !slices.Equal(got[:last], many[:last]) {
		t.Errorf("many are %q", got)
	}
}
