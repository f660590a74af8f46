package gittest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// SSHServer serves the repositories of a Server over SSH to the holder of one
// key. Its Directory is what a user would bind as workspace ssh-directory.
type SSHServer struct {
	// Address is host:port; a repository is at ssh://git@<Address>/<name>.git.
	Address string
	// Directory holds id_ed25519 and known_hosts.
	Directory string

	t      testing.TB
	dir    string
	config *ssh.ServerConfig
}

// ServeSSH starts an SSH server for the repositories. It stops with the test.
func (s *Server) ServeSSH() *SSHServer {
	s.t.Helper()
	hostKey, userKey := newKey(s.t), newKey(s.t)
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "git" || string(key.Marshal()) != string(userKey.signer.PublicKey().Marshal()) {
			return nil, os.ErrPermission
		}
		return nil, nil
	}}
	config.AddHostKey(hostKey.signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.t, err)
	server := &SSHServer{Address: listener.Addr().String(), Directory: s.t.TempDir(), t: s.t, dir: s.Dir, config: config}
	must(s.t, os.WriteFile(filepath.Join(server.Directory, "id_ed25519"), userKey.pem, 0o600))
	line := knownhosts.Line([]string{server.Address}, hostKey.signer.PublicKey())
	must(s.t, os.WriteFile(filepath.Join(server.Directory, "known_hosts"), []byte(line+"\n"), 0o600))
	s.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go server.serve(conn)
		}
	}()
	return server
}

type key struct {
	signer ssh.Signer
	pem    []byte
}

func newKey(t testing.TB) key {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	must(t, err)
	return key{signer, pem.EncodeToMemory(block)}
}

func (s *SSHServer) serve(conn net.Conn) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			c.Reject(ssh.UnknownChannelType, "")
			continue
		}
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go s.session(channel, requests)
	}
}

func (s *SSHServer) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	env := append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	for request := range requests {
		var text struct{ A, B string }
		switch request.Type {
		case "env":
			ssh.Unmarshal(request.Payload, &text)
			env = append(env, text.A+"="+text.B)
			request.Reply(true, nil)
		case "exec":
			var command struct{ Line string }
			ssh.Unmarshal(request.Payload, &command)
			request.Reply(true, nil)
			status := s.run(channel, command.Line, env)
			channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			return
		default:
			request.Reply(false, nil)
		}
	}
}

// run runs "git-upload-pack '/name.git'" and the like, nothing else.
func (s *SSHServer) run(channel ssh.Channel, line string, env []string) uint32 {
	service, path, _ := strings.Cut(line, " ")
	service, ok := strings.CutPrefix(service, "git-")
	if !ok {
		io.WriteString(channel.Stderr(), "only git here\n")
		return 1
	}
	cmd := exec.Command("git", service, filepath.Join(s.dir, filepath.Clean("/"+strings.Trim(path, "'"))))
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	// Not cmd.Stdin: the program's end must not wait for the client's.
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return 1
	}
	go func() {
		io.Copy(in, channel)
		in.Close()
	}()
	if cmd.Wait() != nil {
		return 1
	}
	return 0
}
