package git_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func TestSSHWithTheWorkspaceAndWithTektonsFiles(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	s := gittest.NewServer(t)
	repo := s.Create("acme/app", gittest.Files{"a": "1"})
	host := s.ServeSSH()
	name, port, _ := strings.Cut(host.Address, ":")

	// What creds-init leaves: an alias per repository, its key under .ssh.
	home := t.TempDir()
	ok(t, os.CopyFS(filepath.Join(home, ".ssh"), os.DirFS(host.Directory)))
	ok(t, os.Rename(filepath.Join(home, ".ssh", "id_ed25519"), filepath.Join(home, ".ssh", "id_deploy")))
	write(t, filepath.Join(home, ".ssh", "config"), "Host other\n  Port 1\nHost "+name+"--acme--app\n    HostName "+name+
		"\n    Port "+port+"\n    IdentityFile /tekton/creds/.ssh/id_deploy\n")
	write(t, filepath.Join(home, ".gitconfig"), "[url \"git@"+name+"--acme--app:acme/app\"]\n\tinsteadOf = git@git.example.com:acme/app\n")

	for _, test := range []struct {
		url    string
		access git.Access
	}{
		{"ssh://git@" + host.Address + "/acme/app.git", git.Access{SSHDirectory: host.Directory}},
		{"git@git.example.com:acme/app.git", git.Access{CredentialsPath: home}},
	} {
		r := remote(t, test.url, test.access)
		same(t, r.URL(), test.url)
		dir := t.TempDir()
		checkout, err := git.Clone(t.Context(), r, git.CloneOptions{Dir: dir, Depth: 1})
		ok(t, err)
		same(t, checkout.RemoteURL(), test.url)
		clean(t, dir)
		mem, update := onTip(t, r, "a", test.url)
		ok(t, r.Push(t.Context(), mem, update))
		same(t, repo.File("main", "a"), test.url)
	}
}

func TestSSHRefusesAnUnknownHostAndTheWrongKey(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	s := gittest.NewServer(t)
	s.Create("app", gittest.Files{"a": "1"})
	host, other := s.ServeSSH(), s.ServeSSH()
	url := "ssh://git@" + host.Address + "/app.git"
	none := t.TempDir()
	_, err := remote(t, url, git.Access{SSHDirectory: none, CredentialsPath: none}).Tip(t.Context(), "")
	reason(t, err, fault.KindRefused, "HostKeyUnknown")
	_, err = remote(t, url, git.Access{SSHDirectory: other.Directory, CredentialsPath: none}).Tip(t.Context(), "")
	reason(t, err, fault.KindRefused, "HostKeyUnknown")

	wrong := t.TempDir()
	ok(t, os.CopyFS(wrong, os.DirFS(host.Directory)))
	key, err := os.ReadFile(filepath.Join(other.Directory, "id_ed25519"))
	ok(t, err)
	write(t, filepath.Join(wrong, "id_ed25519"), string(key))
	_, err = remote(t, url, git.Access{SSHDirectory: wrong, CredentialsPath: none}).Tip(t.Context(), "")
	is(t, err, git.ErrAuthentication)

	_, err = remote(t, "ssh://git@"+host.Address+"/absent.git", git.Access{SSHDirectory: host.Directory}).Tip(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "absent.git") {
		t.Fatalf("the server's words are missing: %v", err)
	}
}

func TestLocalPathsAreReadWithTheGitProgram(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	for _, url := range []string{repo.Dir, "file://" + repo.Dir} {
		r := remote(t, url)
		mem, update := onTip(t, r, "a", url)
		ok(t, r.Push(t.Context(), mem, update))
		same(t, repo.File("main", "a"), url)
		checkout := clone(t, url, git.CloneOptions{Dir: t.TempDir(), Depth: 1})
		clean(t, checkout.Dir())
	}
	t.Setenv("PATH", t.TempDir())
	_, err := remote(t, repo.Dir).Tip(t.Context(), "main")
	if err == nil || !strings.Contains(err.Error(), "git program") {
		t.Fatalf("got %v", err)
	}
}
