package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/release"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"record": main}) }

// TestSessions runs each session with a namespace $NAMESPACE on the light
// cluster and a repository $URL with one commit $COMMIT.
func TestSessions(t *testing.T) {
	server := gittest.NewServer(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			on := clustertest.Start(t)
			repository := server.Create(on.Namespace, gittest.Files{"Chart.yaml": "apiVersion: v2\nname: staging\nversion: 0.1.0\n"})
			env.Values["cluster"], env.Values["repository"] = on, repository
			env.Setenv("KUBECONFIG", on.Kubeconfig)
			env.Setenv("NAMESPACE", on.Namespace)
			env.Setenv("URL", repository.URL)
			env.Setenv("COMMIT", repository.Head("main"))
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("TMPDIR", env.WorkDir+"/tmp")
			return os.Mkdir(env.WorkDir+"/tmp", 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"lease":  lease,
			"free":   free,
			"noted":  noted,
			"lost":   lost,
			"deploy": deploy,
			"notes":  notes,
		},
	})
}

// TestStatuses gives its sessions a namespace on the light cluster and a real Gitea.
func TestStatuses(t *testing.T) {
	params := giteatest.Sessions(t, "testdata/gitea")
	hosts := params.Setup
	params.Setup = func(env *testscript.Env) error {
		on := clustertest.Start(t)
		env.Values["cluster"] = on
		env.Setenv("KUBECONFIG", on.Kubeconfig)
		env.Setenv("NAMESPACE", on.Namespace)
		return hosts(env)
	}
	params.Cmds["lease"], params.Cmds["free"], params.Cmds["deploy"], params.Cmds["head"] = lease, free, deploy, head
	testscript.Run(t, params)
}

// head puts the tip of a repository's main branch into $COMMIT: head <name>
func head(ts *testscript.TestScript, _ bool, args []string) {
	out, err := exec.Command("git", "ls-remote", ts.Getenv("GITEA")+"/"+giteatest.User+"/"+args[0]+".git", "refs/heads/main").Output()
	ts.Check(err)
	commit, _, _ := strings.Cut(string(out), "\t")
	ts.Setenv("COMMIT", commit)
}

func clientOf(ts *testscript.TestScript) *cluster.Client {
	client, err := cluster.Connect(context.Background(), ts.Value("cluster").(*clustertest.Cluster).Namespace)
	ts.Check(err)
	return client
}

// lease takes the release's lease as helm-apply does: lease <holder>
func lease(ts *testscript.TestScript, neg bool, args []string) {
	_, err := clientOf(ts).Acquire(context.Background(), cluster.LeaseOptions{Name: release.LeaseName("staging"), Holder: args[0], For: time.Hour, Wait: time.Second})
	ts.Check(err)
}

// noted takes and ends the lease as a helm-apply that failed does:
// noted <holder> <commit> <reason> [<exit code>]
func noted(ts *testscript.TestScript, neg bool, args []string) {
	lease, err := clientOf(ts).Acquire(context.Background(), cluster.LeaseOptions{Name: release.LeaseName("staging"), Holder: args[0], For: time.Hour, Wait: time.Second})
	ts.Check(err)
	lease.Notes = map[string]string{"commit": args[1], "deployment": "failed", "reason": args[2]}
	if len(args) > 3 {
		lease.Notes["exit-code"] = args[3]
	}
	ts.Check(lease.Release(context.Background()))
}

// lost takes the lease, notes what helm-apply and verify do, and lets another run take it
// when it has expired: lost <holder> <other holder> [<note>=<value> …]
func lost(ts *testscript.TestScript, neg bool, args []string) {
	client, name := clientOf(ts), release.LeaseName("staging")
	_, err := client.Acquire(context.Background(), cluster.LeaseOptions{Name: name, Holder: args[0], For: time.Second, Wait: time.Second})
	ts.Check(err)
	notes := map[string]string{}
	for _, note := range args[2:] {
		key, value, _ := strings.Cut(note, "=")
		notes[key] = value
	}
	ts.Check(client.NoteLease(context.Background(), name, args[0], notes))
	lease, err := client.Acquire(context.Background(), cluster.LeaseOptions{Name: name, Holder: args[1], For: time.Hour, Wait: time.Minute})
	ts.Check(err)
	if lease.Previous != args[0] {
		ts.Fatalf("%s lost no lease", args[0])
	}
}

// free checks that a holder does not have the lease: free <holder>
func free(ts *testscript.TestScript, neg bool, args []string) {
	state, err := clientOf(ts).ReadLease(context.Background(), release.LeaseName("staging"), args[0])
	ts.Check(err)
	if state.Held != neg {
		ts.Fatalf("%s has the lease: %v", args[0], state.Held)
	}
}

// deploy makes a revision of the release: deploy <folder> <commit>
func deploy(ts *testscript.TestScript, neg bool, args []string) {
	rel, err := release.Open(clientOf(ts), "staging")
	ts.Check(err)
	c, err := chart.Load(context.Background(), ts.MkAbs(args[0]), chart.Options{Cache: ts.MkAbs("cache")})
	ts.Check(err)
	_, err = rel.Deploy(release.Deployment{Chart: c, Commit: args[1], Timeout: time.Minute})
	ts.Check(err)
}

// notes prints the note of a commit as the git program reads it: notes <commit>
func notes(ts *testscript.TestScript, neg bool, args []string) {
	repository := ts.Value("repository").(*gittest.Repository)
	text := ""
	if strings.Contains(repository.Git("for-each-ref"), "refs/notes/lockstep") {
		text = repository.Git("log", "-1", "--notes=lockstep", "--format=%N", args[0])
	}
	_, err := ts.Stdout().Write([]byte(text)) // or the output of the command before would stand there still
	ts.Check(err)
}
