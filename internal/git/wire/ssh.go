package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSH is a repository on a host that is reached by SSH.
type SSH struct {
	Address string // host:port
	Path    string // as the other side's shell gets it, quoted here
	// Config makes the client's settings for each connection, so that keys
	// that were renewed since are seen.
	Config func() (*ssh.ClientConfig, error)
	// Dial opens the connection; nil: directly.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// ErrHostKey: the host did not prove to be the one that known_hosts names.
var ErrHostKey = errors.New("the host's key is not the known one")

// Open connects and starts the service.
func (s *SSH) Open(ctx context.Context, service string, version int) (Session, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	started, err := s.start(client, service, version)
	if err != nil {
		client.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { client.Close() })
	started.stop = func() error { stop(); client.Close(); return nil }
	return started, nil
}

// Resume is not for SSH: each session greets.
func (s *SSH) Resume(context.Context, string, int) Session { return nil }

func (s *SSH) connect(ctx context.Context) (*ssh.Client, error) {
	config, err := s.Config()
	if err != nil {
		return nil, err
	}
	dial := s.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: config.Timeout}).DialContext
	}
	conn, err := dial(ctx, "tcp", s.Address)
	if err != nil {
		return nil, err
	}
	// The handshake takes no context: a deadline and a hang-up stand for it.
	conn.SetDeadline(time.Now().Add(config.Timeout))
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c, channels, requests, err := ssh.NewClientConn(conn, s.Address, config)
	if err != nil {
		conn.Close()
		return nil, sshError(err)
	}
	conn.SetDeadline(time.Time{})
	return ssh.NewClient(c, channels, requests), nil
}

// sshError recognises a refused key. The library has no type for it; its text
// is part of its tests.
func sshError(err error) error {
	if strings.Contains(err.Error(), "unable to authenticate") {
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	return err
}

func (s *SSH) start(client *ssh.Client, service string, version int) (*stream, error) {
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	if version > 0 {
		// Servers that do not accept the variable answer in version 0.
		_ = session.Setenv("GIT_PROTOCOL", fmt.Sprintf("version=%d", version))
	}
	words := &Words{}
	session.Stderr = words
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := session.Start(service + " '" + s.Path + "'"); err != nil {
		return nil, fmt.Errorf("start %s: %w", service, err)
	}
	return &stream{in: in, out: out, words: words}, nil
}
