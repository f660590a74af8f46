package giteatest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// Sessions prepares testscript sessions that share one Gitea at $GITEA, whose
// credentials are in $HOME. Further commands of the sessions:
//
//	repository <name> <file>      create it, with the file on its branch main
//	push <name> <branch> <file>   commit the file as a person would
//	gitea <method> <path> [json]  ask Gitea's interface, where $USER owns all; prints the answer
//	exits <code> <program> …      run a program that must end with this code
//	expand <file> …               fill variables of the session into files
func Sessions(t *testing.T, dir string) testscript.Params {
	s := Start(t)
	file := func(ts *testscript.TestScript, name string) gittest.Files {
		_, below, ok := strings.Cut(name, "/") // its first folder is the repository
		if !ok {
			below = name
		}
		return gittest.Files{below: ts.ReadFile(name)}
	}
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			if err := os.Mkdir(home, 0o700); err != nil {
				return err
			}
			for name, value := range map[string]string{"GITEA": s.URL, "USER": User, "PASSWORD": Password, "HOME": home, "TMPDIR": env.WorkDir, "GIT_AUTHOR_NAME": "Tester", "GIT_AUTHOR_EMAIL": "tester@example.com"} {
				env.Setenv(name, value)
			}
			return os.WriteFile(filepath.Join(home, ".git-credentials"), []byte(s.credentials()), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"repository": func(ts *testscript.TestScript, _ bool, args []string) { s.Repository(args[0], file(ts, args[1])) },
			"push": func(ts *testscript.TestScript, _ bool, args []string) {
				s.Push(s.URL+"/"+User+"/"+args[0]+".git", args[1], "a person's commit", file(ts, args[2]))
			},
			"gitea": func(ts *testscript.TestScript, _ bool, args []string) {
				text, err := s.ask(args[0], args[1], strings.NewReader(strings.Join(args[2:], " ")))
				ts.Check(err)
				_, err = ts.Stdout().Write(text)
				ts.Check(err)
			},
			"exits":  gittest.Exits,
			"expand": gittest.Expand,
		},
	}
}
