package git

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agentKeys are the keys of a running SSH agent; none where there is no agent
// or it does not answer.
func agentKeys() []ssh.Signer {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil
	}
	var keys []ssh.Signer
	_ = askAgent(socket, func(known []ssh.Signer) error {
		for _, key := range known {
			keys = append(keys, agentKey{socket, key.PublicKey()})
		}
		return nil
	})
	return keys
}

// askAgent connects to the agent for as long as one question takes.
func askAgent(socket string, ask func(known []ssh.Signer) error) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return fmt.Errorf("connect to the SSH agent: %w", err)
	}
	defer conn.Close()
	known, err := agent.NewClient(conn).Signers()
	if err != nil {
		return fmt.Errorf("list the keys of the SSH agent: %w", err)
	}
	return ask(known)
}

// agentKey signs with a key that the agent holds. It connects for each
// signature: nothing tells when the last one was made.
type agentKey struct {
	socket string
	public ssh.PublicKey
}

func (k agentKey) PublicKey() ssh.PublicKey { return k.public }

func (k agentKey) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(random, data, "")
}

func (k agentKey) SignWithAlgorithm(random io.Reader, data []byte, algorithm string) (signature *ssh.Signature, err error) {
	err = askAgent(k.socket, func(known []ssh.Signer) error {
		for _, key := range known {
			signer, ok := key.(ssh.AlgorithmSigner)
			if ok && bytes.Equal(key.PublicKey().Marshal(), k.public.Marshal()) {
				signature, err = signer.SignWithAlgorithm(random, data, algorithm)
				return err
			}
		}
		return fmt.Errorf("sign with %s: %w: the SSH agent has lost this key", ssh.FingerprintSHA256(k.public), ErrNotFound)
	})
	return signature, err
}
