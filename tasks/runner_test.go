package tasks_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
	"github.com/lockstep-cd/lockstep/internal/runner"
)

// sessionFolders hold the sessions: those of Tasks and StepActions, and those of
// Pipelines.
var sessionFolders = []string{"testdata", "../pipelines/testdata"}

// TestSessions runs our Tasks, StepActions and Pipelines on this machine, against
// a Git host ($HOST, and what gittest.Sessions adds), an OCI registry ($REGISTRY)
// and, where a session asks for it, the light cluster. Its commands:
//
//	run PATH [-p NAME=VALUE …] [-w NAME=FOLDER …]  run what PATH of the repository holds; results are stdout, logs stderr
//	example NAME FOLDER                            copy examples/NAME; its charts come from $REGISTRY
//	cluster                                        set KUBECONFIG and NAMESPACE
//	gitea NAME FILE                                start a Gitea with a repository at $GITEA/NAME.git; its credentials are in the folder gitea
//	tags REPOSITORY                                print the tags that $REGISTRY has of it
func TestSessions(t *testing.T) {
	shared := &parts{
		programs: &runner.Programs{Module: "..", Bin: absolute(t, "../.build/steps")},
		machine:  goTools(t), t: t,
	}
	for _, dir := range sessionFolders {
		testscript.Run(t, shared.sessions(dir))
	}
}

// parts is what all sessions share.
type parts struct {
	programs *runner.Programs
	machine  []string // variables
	t        *testing.T
}

func (p *parts) sessions(dir string) testscript.Params {
	params := gittest.Sessions(p.t, dir)
	params.UpdateScripts = false
	git := params.Setup
	params.Setup = func(env *testscript.Env) error {
		if err := git(env); err != nil {
			return err
		}
		env.Setenv("REGISTRY", registrytest.New(p.t).Host())
		return nil
	}
	params.Cmds["run"] = p.run
	params.Cmds["example"] = example
	params.Cmds["cluster"] = p.cluster
	params.Cmds["gitea"] = p.gitea
	params.Cmds["tags"] = tags
	return params
}

// goTools is what a Go image would have of its own: the test step of the
// examples uses this machine's, with what they compiled and fetched before.
func goTools(t *testing.T) []string {
	t.Helper()
	list := []string{"CGO_ENABLED=0"}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS", "GOTOOLCHAIN"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		list = append(list, name+"="+strings.TrimSpace(string(value)))
	}
	return list
}

func (p *parts) run(ts *testscript.TestScript, neg bool, args []string) {
	params, folders := map[string]string{}, map[string]string{}
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.Func("p", "parameter", func(text string) error { return pair(params, text) })
	flags.Func("w", "workspace", func(text string) error { return pair(folders, text) })
	if len(args) == 0 || flags.Parse(args[1:]) != nil || flags.NArg() > 0 {
		ts.Fatalf("usage: run PATH [-p NAME=VALUE …] [-w NAME=FOLDER …]")
	}
	request := runner.Request{Params: params}
	for name, folder := range folders {
		folders[name] = ts.MkAbs(folder)
		request.Workspaces = append(request.Workspaces, name)
	}
	catalog := runner.NewCatalog()
	o, err := catalog.Find(filepath.Join("..", args[0]), "")
	ts.Check(err)
	o, err = runner.Runnable(o, request)
	ts.Check(err)
	dir, err := os.MkdirTemp(ts.MkAbs("."), "run-")
	ts.Check(err)
	r := &runner.Runner{
		Catalog: catalog, Dir: dir, Folders: folders, Programs: p.programs, AllowHost: true,
		Environment: append([]string{"KUBECONFIG=" + ts.Getenv("KUBECONFIG")}, p.machine...),
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	outcome, err := r.Run(ctx, o)
	ts.Check(err)
	ts.Check(report(ts, dir, outcome))
	if outcome.Well() == neg {
		ts.Fatalf("%s: succeeded is %v", args[0], outcome.Well())
	}
}

func pair(m map[string]string, text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%q is not NAME=VALUE", text)
	}
	m[name] = value
	return nil
}

// report writes results to stdout, and to stderr how each task ended and what
// its steps wrote.
func report(ts *testscript.TestScript, dir string, o *runner.Outcome) error {
	for _, result := range o.Results() {
		fmt.Fprintf(ts.Stdout(), "%s=%s\n", result.Name, result.Value)
	}
	for _, task := range o.Tasks() {
		fmt.Fprintf(ts.Stderr(), "%s: %s\n", task.Name, task.Reason)
		for _, s := range task.Steps {
			fmt.Fprintf(ts.Stderr(), "%s/%s: %s\n", task.Name, s.Name, s.Reason)
		}
	}
	return filepath.WalkDir(filepath.Join(dir, "logs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(ts.Stderr(), "--- %s\n%s", strings.TrimSuffix(d.Name(), ".log"), text)
		return err
	})
}

func (p *parts) cluster(ts *testscript.TestScript, neg bool, args []string) {
	on := clustertest.Start(p.t)
	ts.Setenv("KUBECONFIG", on.Kubeconfig)
	ts.Setenv("NAMESPACE", on.Namespace)
}

func (p *parts) gitea(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: gitea NAME FILE")
	}
	server := giteatest.Start(p.t)
	server.Repository(args[0], gittest.Files{filepath.Base(args[1]): ts.ReadFile(args[1])})
	ts.Setenv("GITEA", server.URL+"/"+giteatest.User)
	ts.Check(os.CopyFS(ts.MkAbs("gitea"), os.DirFS(server.Credentials())))
}

// placeholder is the registry that the examples name.
const placeholder = "registry.example.com"

func example(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: example NAME FOLDER")
	}
	to := ts.MkAbs(args[1])
	ts.Check(os.CopyFS(to, os.DirFS(filepath.Join("..", "examples", args[0]))))
	charts, lock := filepath.Join(to, "requirements.yaml"), filepath.Join(to, "requirements.lock")
	before, err := os.ReadFile(charts)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	ts.Check(err)
	after := bytes.ReplaceAll(before, []byte(placeholder), []byte(ts.Getenv("REGISTRY")))
	locked, err := os.ReadFile(lock)
	ts.Check(err)
	locked, err = edit.Relock(locked, before, after)
	ts.Check(err)
	ts.Check(errors.Join(os.WriteFile(charts, after, 0o644), os.WriteFile(lock, locked, 0o644)))
}

func tags(ts *testscript.TestScript, neg bool, args []string) {
	response, err := http.Get("http://" + ts.Getenv("REGISTRY") + "/v2/" + args[0] + "/tags/list")
	ts.Check(err)
	defer response.Body.Close()
	_, err = ts.Stdout().Write([]byte(response.Status + "\n"))
	ts.Check(err)
	var body bytes.Buffer
	_, err = body.ReadFrom(response.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write(body.Bytes())
	ts.Check(err)
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestEverythingHasASession: a Task, StepAction or Pipeline comes with a session
// that runs it.
func TestEverythingHasASession(t *testing.T) {
	sessions := allSessions(t)
	for pattern, least := range map[string]int{"tasks/*": 10, "steps/*": 10, "pipelines/*": 2} {
		folders, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, folder := range folders {
			if !holdsTekton(t, folder) {
				continue
			}
			found++
			name := strings.TrimPrefix(filepath.ToSlash(folder), "../")
			if !regexp.MustCompile(`(?m)^run ` + regexp.QuoteMeta(name) + `( |$)`).MatchString(sessions) {
				t.Errorf("no session in %v runs %s: add one", sessionFolders, name)
			}
		}
		if found < least {
			t.Errorf("only %d objects of Tekton in %s", found, pattern)
		}
	}
}

func allSessions(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range sessionFolders {
		files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no sessions in %s: %v", dir, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	return all.String()
}

// holdsTekton says whether a folder holds something that Tekton runs.
func holdsTekton(t *testing.T, folder string) bool {
	t.Helper()
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return false
	}
	objects, err := runner.NewCatalog().AddFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(objects) > 0
}
