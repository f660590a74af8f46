package gittest

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Sessions prepares testscript sessions that work against a Server of their
// own. Its repositories are at $HOST/<name>.git and, for exec git -C, in
// $REPOSITORIES/<name>.git. Further commands of the sessions:
//
//	repository <name> [folder]             create it, with a first commit of the folder's files
//	push <name> <branch> <message> <folder> commit as somebody else would
//	revision <variable> <name> <revision>   put a commit's name into a variable
//	host login <user> <password>           ask for credentials from now on
//	host old-protocol                      speak version 0 only
//	host status <n> <status> [push]        fail the next n requests (that push)
//	host lose <n>                          do the next n pushes without answering
//	host plain-errors                      answer everything with an HTML page
//	exits <code> <program> …               run a program that must end with this code
//	expand <file> …                        fill variables of the session into files
func Sessions(t *testing.T, dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			s := NewServer(t)
			env.Values[sessionKey{}] = &session{server: s, repositories: map[string]*Repository{}}
			for name, value := range map[string]string{
				"HOST": s.URL, "REPOSITORIES": s.Dir, "HOME": filepath.Join(env.WorkDir, "home"), "TMPDIR": env.WorkDir,
				"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.DevNull, "GIT_TERMINAL_PROMPT": "0",
				"GIT_AUTHOR_NAME": "Tester", "GIT_AUTHOR_EMAIL": "tester@example.com",
				"GIT_COMMITTER_NAME": "Tester", "GIT_COMMITTER_EMAIL": "tester@example.com",
			} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"repository": repositoryCommand,
			"push":       pushCommand,
			"revision":   revisionCommand,
			"host":       hostCommand,
			"exits":      Exits,
			"expand":     Expand,
		},
	}
}

type sessionKey struct{}

type session struct {
	server       *Server
	repositories map[string]*Repository
}

func sessionOf(ts *testscript.TestScript) *session {
	s, ok := ts.Value(sessionKey{}).(*session)
	if !ok {
		ts.Fatalf("this session was not set up by gittest.Sessions")
	}
	return s
}

// readFiles reads a folder of a session; the x bit and links are kept.
func readFiles(ts *testscript.TestScript, dir string) Files {
	files, root := Files{}, ts.MkAbs(dir)
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			files[name+"@"] = target
			return err
		}
		content, err := os.ReadFile(path)
		files[name] = string(content)
		return err
	}))
	return files
}

func repositoryCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: repository name [folder]")
	}
	s := sessionOf(ts)
	var files Files
	if len(args) == 2 {
		files = readFiles(ts, args[1])
	}
	s.repositories[args[0]] = s.server.Create(args[0], files)
}

func pushCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: push name branch message folder")
	}
	r := sessionOf(ts).repositories[args[0]]
	if r == nil {
		ts.Fatalf("no repository %s", args[0])
	}
	r.CommitTo(args[1], args[2], readFiles(ts, args[3]))
}

func revisionCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: revision variable name revision")
	}
	r := sessionOf(ts).repositories[args[1]]
	if r == nil {
		ts.Fatalf("no repository %s", args[1])
	}
	ts.Setenv(args[0], r.Git("rev-parse", "--verify", args[2]))
}

func hostCommand(ts *testscript.TestScript, neg bool, args []string) {
	s := sessionOf(ts).server
	number := func(i int) int {
		n, err := strconv.Atoi(args[i])
		ts.Check(err)
		return n
	}
	switch {
	case len(args) == 3 && args[0] == "login":
		s.RequireLogin(args[1], args[2])
	case len(args) == 1 && args[0] == "old-protocol":
		s.OldProtocol()
	case len(args) == 3 && args[0] == "status":
		s.Before(Status(number(1), number(2), Any))
	case len(args) == 4 && args[0] == "status" && args[3] == "push":
		s.Before(Status(number(1), number(2), IsPush))
	case len(args) == 2 && args[0] == "lose":
		s.LoseAnswers(number(1), IsPush)
	case len(args) == 1 && args[0] == "plain-errors":
		s.Before(func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			_, err := w.Write([]byte("<html>Please sign in</html>"))
			return err == nil
		})
	default:
		ts.Fatalf("host: unknown: %v", args)
	}
}

// Exits is the command exits, also for sessions without a Server.
func Exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program …")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s (%v)", code, args[0], err)
	}
}

// Expand is the command expand, also for sessions without a Server.
func Expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand file …")
	}
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(os.Expand(ts.ReadFile(file), ts.Getenv)), 0o644))
	}
}
