package git_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// serveAgent serves the key of a file as an SSH agent does. What it returns
// tells how each connection ended.
func serveAgent(t *testing.T, key string) (socket string, ended <-chan error) {
	t.Helper()
	content, err := os.ReadFile(key)
	ok(t, err)
	private, err := ssh.ParseRawPrivateKey(content)
	ok(t, err)
	keys := agent.NewKeyring()
	ok(t, keys.Add(agent.AddedKey{PrivateKey: private}))
	dir, err := os.MkdirTemp("", "agent") // a socket's path must be short
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "agent")
	listener, err := net.Listen("unix", socket)
	ok(t, err)
	t.Cleanup(func() { listener.Close() })
	ends := make(chan error, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				ends <- agent.ServeAgent(keys, conn)
			}()
		}
	}()
	return socket, ends
}

func TestTheAgentsSocketIsClosed(t *testing.T) {
	s := gittest.NewServer(t)
	s.Create("app", gittest.Files{"a": "1"})
	host := s.ServeSSH()
	socket, ended := serveAgent(t, filepath.Join(host.Directory, "id_ed25519"))
	t.Setenv("SSH_AUTH_SOCK", socket)
	ok(t, os.Remove(filepath.Join(host.Directory, "id_ed25519")))
	r := remote(t, "ssh://git@"+host.Address+"/app.git", git.Access{SSHDirectory: host.Directory, CredentialsPath: t.TempDir()})
	_, err := r.Tip(t.Context(), "main")
	ok(t, err)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection to the agent is still open")
	}
}
