package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Repositories are the Git repositories of a folder. Its methods may be called
// while a server of the same folder runs, also from another process.
type Repositories struct {
	root *os.Root
	git  string
}

// OpenRepositories finds the repositories below dir and the git program.
func OpenRepositories(dir string) (*Repositories, error) {
	git, err := findGit()
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(dir, "git")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, explain(err, "make the folder of the repositories")
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	return &Repositories{root: root, git: git}, nil
}

// Close lets go of the folder. The repositories stay.
func (r *Repositories) Close() error { return r.root.Close() }

// findGit wants the git program with its HTTP server, which some systems
// package by itself.
func findGit() (string, error) {
	const hint = "Install git (Debian: apt-get install git; Alpine: apk add git git-daemon)."
	git, err := exec.LookPath("git")
	if err != nil {
		return "", fault.Usage("GitMissing", fmt.Errorf("find the git program: %w", err), hint)
	}
	path, err := exec.Command(git, "--exec-path").Output()
	if err == nil {
		_, err = os.Stat(filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"))
	}
	if err != nil {
		return "", fault.Usage("GitMissing", fmt.Errorf("find git http-backend: %w", err), hint)
	}
	return git, nil
}

// Neither part of a name can leave the folder or begin with what git takes for
// an option.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*/[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$`)

func validName(name string) error {
	if len(name) > 200 || !nameForm.MatchString(name) || strings.HasSuffix(name, ".git") {
		return fault.Usage("RepositoryNameInvalid", fmt.Errorf("the repository name %q is not <owner>/<name>", name),
			"Use letters, digits, - and _, and single dots inside.")
	}
	return nil
}

// bare is the folder of a repository inside the folder of all.
func bare(name string) string { return name + ".git" }

func (r *Repositories) path(name string) string { return filepath.Join(r.root.Name(), bare(name)) }

// config lets everybody who reaches the server push, and fetch as from the
// large hosts. Nothing may run on in the background or as a hook.
const config = `[http]
	receivepack = true
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
[receive]
	autogc = false
[gc]
	auto = 0
[core]
	hooksPath = /dev/null
`

// Create makes an empty repository <owner>/<name> with the default branch main.
// One that is there already is left as it is.
func (r *Repositories) Create(ctx context.Context, name string) error {
	if err := validName(name); err != nil {
		return err
	}
	if _, err := r.root.Stat(bare(name)); err == nil {
		return nil
	}
	owner, _, _ := strings.Cut(name, "/")
	if err := r.root.MkdirAll(owner, 0o755); err != nil {
		return explain(err, "create repository "+name)
	}
	// A repository is there whole or not at all.
	partial := owner + "/." + rand.Text()
	defer r.root.RemoveAll(partial)
	if err := r.initialise(ctx, partial); err != nil {
		return explain(err, "create repository "+name)
	}
	err := r.root.Rename(partial, bare(name))
	if _, there := r.root.Stat(bare(name)); there == nil {
		return nil // perhaps made by another process meanwhile
	}
	return explain(err, "create repository "+name)
}

func (r *Repositories) initialise(ctx context.Context, folder string) error {
	if _, err := r.run(ctx, r.root.Name(), "init", "-q", "--bare", "--initial-branch=main", "--template=", folder); err != nil {
		return err
	}
	f, err := r.root.OpenFile(folder+"/config", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(config)
	return errors.Join(err, f.Close())
}

// List returns all names, sorted.
func (r *Repositories) List() ([]string, error) {
	paths, err := fs.Glob(r.root.FS(), "*/*.git")
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, path := range paths {
		if name := strings.TrimSuffix(path, ".git"); validName(name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

func (r *Repositories) exists(name string) error {
	if err := validName(name); err != nil {
		return err
	}
	if _, err := r.root.Stat(bare(name)); err != nil {
		return fmt.Errorf("%s: %w", name, errNoRepository)
	}
	return nil
}

// run runs the git program in a folder and returns its output.
func (r *Repositories) run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, r.git, args...)
	cmd.Dir, cmd.Env = dir, r.environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], cause(err, stderr.String()), bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// cause adds the system's error where git tells it: its words are all that a
// program hands on, and in the locale C they are the system's own.
func cause(err error, words string) error {
	if strings.Contains(strings.ToLower(words), syscall.ENOSPC.Error()) {
		return errors.Join(syscall.ENOSPC, err)
	}
	return err
}

// environment holds nothing of the user's own git configuration: what a host
// does must not depend on who started it.
func (r *Repositories) environment() []string {
	env := []string{"HOME=" + r.root.Name(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "LC_ALL=C"}
	for _, name := range []string{"PATH", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
