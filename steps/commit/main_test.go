package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"commit": main}) }

// environment is the repository that every session starts with: two services
// in the requirements form, with the lock that Helm would write.
var environment = gittest.Files{
	"Chart.yaml": "apiVersion: v1\nname: env\nversion: 0.1.0\n",
	"requirements.yaml": "dependencies:\n- name: user-service\n  alias: user\n  version: 2.3.118 # users\n  repository: https://charts.example.com\n" +
		"- name: billing-service\n  version: 1.0.0\n  repository: https://charts.example.com\n",
	"values.yaml": "image:\n  tag: \"1\"\n",
	"README.md":   "An environment.\n",
}

// TestSessions runs each session against a Git host of its own: $URL is the
// repository's address.
func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			server := gittest.NewServer(t)
			repository := server.Create("env", environment)
			env.Values["server"], env.Values["repository"] = server, repository
			env.Setenv("URL", repository.URL)
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": gittest.Exits, "bump": bump, "push": push, "tip": tip, "hook": hook, "lose": lose, "login": login,
			"rewrite": rewrite, "tipped": tipped, "push-link": pushLink,
		},
	})
}

// bump does what bump-version does: bump <checkout> <name> <version> [exact]
func bump(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(noteBump(ts.MkAbs(args[0]), args[1], args[2], len(args) > 3))
}

func noteBump(folder, name, version string, exact bool) error {
	checkout, err := promotion.OpenCheckout(folder)
	if err != nil {
		return err
	}
	defer checkout.Close()
	repository, err := git.Open(folder)
	if err != nil {
		return err
	}
	applied, err := promotion.Begin(context.Background(), checkout, promotion.Intent{
		File: "Chart.yaml", Kind: promotion.Dependency, Name: name, To: version, Exact: exact,
	})
	if err != nil {
		return err
	}
	err = promotion.Append(repository, applied.Intent)
	for file, content := range applied.Files {
		err = errors.Join(err, checkout.Write(file, content))
	}
	return err
}

func repository(ts *testscript.TestScript) *gittest.Repository {
	return ts.Value("repository").(*gittest.Repository)
}

// push changes the branch as somebody else: push <file> <old text> <new text>
func push(ts *testscript.TestScript, _ bool, args []string) {
	r := repository(ts)
	before := r.File("main", args[0])
	after := strings.Replace(before, args[1], args[2], 1)
	if before == after {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	r.Commit("by somebody else", gittest.Files{args[0]: after})
}

// pushLink puts a symbolic link on the branch: push-link <file> <target>
func pushLink(ts *testscript.TestScript, _ bool, args []string) {
	repository(ts).Commit("link", gittest.Files{args[0] + "@": args[1]})
}

// tip prints a file of the branch, or its log without a file, for the checks
// that follow: tip [file]
func tip(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Check(ts.Exec("git", "-C", repository(ts).Dir, "log", "--format=%an <%ae> %cn <%ce>%n%B", "main"))
		return
	}
	ts.Check(ts.Exec("git", "-C", repository(ts).Dir, "show", "main:"+args[0]))
}

// hook installs a server-side hook: hook <name> <script>
func hook(ts *testscript.TestScript, _ bool, args []string) { repository(ts).Hook(args[0], args[1]) }

// lose cuts the connection instead of answering the next push.
func lose(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Value("server").(*gittest.Server).LoseAnswers(1, gittest.IsPush)
}

// login asks for user and password from now on.
func login(ts *testscript.TestScript, _ bool, args []string) {
	ts.Value("server").(*gittest.Server).RequireLogin(args[0], args[1])
}

// rewrite replaces the branch's history by one commit with the same files.
func rewrite(ts *testscript.TestScript, _ bool, _ []string) {
	r := repository(ts)
	commit := r.Git("-c", "user.name=x", "-c", "user.email=x@example.com", "commit-tree", "-m", "rewritten", "main^{tree}")
	r.Git("update-ref", "refs/heads/main", commit)
}

// tipped checks that the branch has a number of commits: tipped 2
func tipped(ts *testscript.TestScript, _ bool, args []string) {
	if got := repository(ts).Git("rev-list", "--count", "main"); got != args[0] {
		ts.Fatalf("the branch has %s commits, want %s", got, args[0])
	}
}
