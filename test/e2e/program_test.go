//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program builds lockstep, the program for people.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lockstep")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../cmd/lockstep").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// person is somebody who promotes with lockstep, on a machine that has the Git
// host's password at home.
type person struct {
	t       *testing.T
	program string
	home    string
}

// outcome is what lockstep promote prints of an environment.
type outcome struct{ Environment, Application, Version, Outcome, Commit, Reason, URL, Error string }

// newPerson knows the password under each of the host's addresses.
func newPerson(t *testing.T, hosts ...string) person {
	t.Helper()
	password, err := shared.Gitea.Password()
	if err != nil {
		t.Fatal(err)
	}
	var credentials bytes.Buffer
	for _, host := range hosts {
		u, err := url.Parse(host)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(shared.Gitea.User, password)
		credentials.WriteString(u.String() + "\n")
	}
	p := person{t, program(t), t.TempDir()}
	if err := os.WriteFile(filepath.Join(p.home, ".git-credentials"), credentials.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// promote runs lockstep promote and wants it to end with a code; it returns
// what came of it, and what was said.
func (p person) promote(ctx context.Context, wantCode int, args ...string) ([]outcome, string) {
	p.t.Helper()
	args = append([]string{"promote", "--environments", shared.RepositoryURL("environments"), "--insecure", shared.Registry, "-o", "json"}, args...)
	cmd := exec.CommandContext(ctx, p.program, args...)
	cmd.Env = append(os.Environ(), "HOME="+p.home, "GIT_AUTHOR_NAME=Paula", "GIT_AUTHOR_EMAIL=paula@example.com")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok || ok && exit.ExitCode() < 0 {
		p.t.Fatalf("lockstep %q: %v\n%s", args, err, &said)
	}
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		p.t.Fatalf("lockstep %q: exit code %d, want %d\n%s%s", args, code, wantCode, out, &said)
	}
	var outcomes []outcome
	if len(out) > 0 {
		if err := json.Unmarshal(out, &outcomes); err != nil {
			p.t.Fatalf("lockstep %q printed %s: %v", args, out, err)
		}
	}
	return outcomes, said.String()
}

// one is what came of a promotion into a single environment, which must be want.
func (p person) one(ctx context.Context, want string, args ...string) outcome {
	p.t.Helper()
	outcomes, said := p.promote(ctx, 0, args...)
	if len(outcomes) != 1 || outcomes[0].Outcome != want {
		p.t.Fatalf("lockstep promote %q: %+v, want %s\n%s", args, outcomes, want, said)
	}
	return outcomes[0]
}
