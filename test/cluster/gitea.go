package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
)

func (f full) giteaURL() string {
	return fmt.Sprintf("http://%s:%d", f.settings.FullNodeIP, f.settings.FullGiteaPort)
}

// giteaPasswordFile holds the admin's password, without a newline.
func (f full) giteaPasswordFile() string { return f.path("gitea-password") }

// startGitea starts Gitea as a user of its own, which it insists on, and sees to it that the admin can log in. Its
// data is outside of the cache: that user cannot look into a home folder.
func (f full) startGitea(ctx context.Context) error {
	account, err := giteaAccount(ctx)
	if err != nil {
		return err
	}
	if err := f.prepareGitea(ctx, account); err != nil {
		return err
	}
	if f.table.PID("gitea") == 0 {
		if err := f.gitea(ctx, account, "migrate"); err != nil {
			return err
		}
	}
	if err := f.ensure(ctx, process.Spec{
		Name: "gitea", Path: filepath.Join(giteaDir, "gitea"), Args: []string{"--config", giteaConfig(), "web"},
		Dir: giteaDir, Env: giteaEnvironment(), User: account, Files: []string{giteaConfig(), giteaVersion()},
	}, f.settings.FullGiteaPort); err != nil {
		return err
	}
	healthy := func(ctx context.Context) error { return f.askGitea(ctx, "/api/healthz", "") }
	if err := f.table.Await(ctx, startLimit, "Gitea", healthy, "gitea"); err != nil {
		return err
	}
	return f.ensureAdmin(ctx, account)
}

func giteaConfig() string { return filepath.Join(giteaDir, "app.ini") }

// giteaVersion is the file that says which build of Gitea was copied.
func giteaVersion() string { return filepath.Join(giteaDir, "version") }

// giteaAccount returns the user that Gitea runs as, and makes it when it is missing.
func giteaAccount(ctx context.Context) (*syscall.Credential, error) {
	account, err := user.Lookup(giteaUser)
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		if err := command(ctx, "useradd", "--system", "--no-create-home", "--home-dir", giteaDir, "--shell", "/usr/sbin/nologin", giteaUser); err != nil {
			return nil, err
		}
		account, err = user.Lookup(giteaUser)
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// prepareGitea puts the program, its pages and its configuration where its user can read them.
func (f full) prepareGitea(ctx context.Context, account *syscall.Credential) error {
	if err := os.MkdirAll(giteaDir, 0o750); err != nil {
		return err
	}
	if err := os.Chown(giteaDir, int(account.Uid), int(account.Gid)); err != nil {
		return err
	}
	for _, name := range []string{"secret-key", "internal-token", "signing-secret"} {
		path := filepath.Join(giteaDir, name)
		if err := ensureSecret(path); err != nil {
			return err
		}
		if err := os.Chown(path, int(account.Uid), int(account.Gid)); err != nil {
			return err
		}
	}
	if err := f.copyGitea(ctx); err != nil {
		return err
	}
	return f.renderTo("app.ini", giteaConfig())
}

// copyGitea copies the program and, from its module, the files that it reads at run time.
func (f full) copyGitea(ctx context.Context) error {
	program, err := f.programs.path("gitea")
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(giteaVersion()); err == nil && string(have) == program {
		return nil
	}
	source, err := f.programs.source(ctx, "gitea", "code.gitea.io/gitea")
	if err != nil {
		return err
	}
	static := f.values().GiteaStatic
	if err := os.RemoveAll(static); err != nil {
		return err
	}
	for _, name := range []string{"options", "public", "templates"} {
		if err := copyTree(filepath.Join(source, name), filepath.Join(static, name)); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(giteaDir, "gitea"), text, 0o755); err != nil {
		return err
	}
	return writeFile(giteaVersion(), []byte(program), 0o644)
}

// copyTree copies a folder. The copy is readable by everybody, and writable by us, which a module's files are not.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(to, relative), text, 0o644)
	})
}

func giteaEnvironment() []string {
	return append(serverEnvironment(), "HOME="+giteaDir, "USER="+giteaUser)
}

// gitea runs one of Gitea's commands as its user.
func (f full) gitea(ctx context.Context, account *syscall.Credential, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(giteaDir, "gitea"), append([]string{"--config", giteaConfig()}, args...)...)
	cmd.Dir, cmd.Env = giteaDir, giteaEnvironment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	return f.logged(ctx, "gitea-"+args[0], cmd)
}

// ensureAdmin makes the admin, or gives an existing one the password of our file.
func (f full) ensureAdmin(ctx context.Context, account *syscall.Credential) error {
	if err := ensureSecret(f.giteaPasswordFile()); err != nil {
		return err
	}
	text, err := os.ReadFile(f.giteaPasswordFile())
	if err != nil {
		return err
	}
	password := string(text)
	if f.askGitea(ctx, "/api/v1/user", password) == nil {
		return nil
	}
	// Gitea takes the password as an argument only; another user of this machine could see it for a moment.
	create := f.gitea(ctx, account, "admin", "user", "create", "--admin", "--username", giteaAdmin, "--password="+password,
		"--email", giteaAdmin+"@example.com", "--must-change-password=false")
	if create != nil {
		change := f.gitea(ctx, account, "admin", "user", "change-password", "--username", giteaAdmin, "--password="+password, "--must-change-password=false")
		if change != nil {
			return errors.Join(create, change)
		}
	}
	return f.askGitea(ctx, "/api/v1/user", password)
}

// askGitea is nil when Gitea answers with success; with a password, to the admin.
func (f full) askGitea(ctx context.Context, path, password string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.giteaURL()+path, nil)
	if err != nil {
		return err
	}
	if password != "" {
		request.SetBasicAuth(giteaAdmin, password)
	}
	response, err := (&http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask Gitea for %s: %s", path, response.Status)
	}
	return nil
}

// ensureSecret writes 32 random bytes in base64, the form that Gitea demands of its signing secret, to a file
// that only its owner may read, unless the file is there.
func ensureSecret(path string) error {
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return nil
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return writeFile(path, []byte(base64.RawURLEncoding.EncodeToString(secret)), 0o600)
}
