package git

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/credential"
	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

// newSSH reads how to reach the host: the ssh-directory workspace in front of
// .ssh in the credentials folder.
func newSSH(k *keyring, a Access) (wire.Transport, error) {
	dirs := sshFolders(a)
	name, port := k.target.host, ""
	if h, p, err := net.SplitHostPort(k.target.host); err == nil {
		name, port = h, p
	}
	name = strings.Trim(name, "[]")
	host, err := credential.SSHHost(dirs, name)
	if err != nil {
		return nil, fault.Usage("CredentialsUnreadable", err, "Check the permissions of the mounted secret.")
	}
	if port == "" {
		port = host.Port
	}
	user := k.target.user
	if user == "" {
		user = host.User
	}
	address := net.JoinHostPort(host.HostName, port)
	path := k.target.path
	if strings.HasPrefix(path, "/~") {
		path = path[1:] // ssh://host/~user/x is that user's folder
	}
	return &wire.SSH{Address: address, Path: path, Config: func() (*ssh.ClientConfig, error) {
		return sshConfig(dirs, host, user, address)
	}}, nil
}

func sshFolders(a Access) []string {
	var dirs []string
	if a.SSHDirectory != "" {
		dirs = append(dirs, a.SSHDirectory)
	}
	home := a.CredentialsPath
	if home == "" {
		home = os.Getenv("HOME")
	}
	if home != "" {
		dirs = append(dirs, filepath.Join(home, ".ssh"))
	}
	return dirs
}

func sshConfig(dirs []string, host credential.Host, user, address string) (*ssh.ClientConfig, error) {
	check, algorithms, err := hostKeys(dirs, host, address)
	if err != nil {
		return nil, err
	}
	return &ssh.ClientConfig{
		User:              user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { return signers(dirs, host) })},
		HostKeyCallback:   check,
		HostKeyAlgorithms: algorithms,
		Timeout:           dialTimeout,
	}, nil
}

// signers are the keys to offer: those that the configuration names for the
// host, else every private key of the folders, then those of an agent.
func signers(dirs []string, host credential.Host) ([]ssh.Signer, error) {
	files := host.IdentityFiles
	if len(files) == 0 {
		for _, dir := range dirs {
			list, err := os.ReadDir(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			for _, e := range list {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	var keys []ssh.Signer
	for _, file := range files {
		key, err := privateKey(file)
		if err != nil {
			return nil, err
		}
		if key != nil {
			keys = append(keys, key)
		}
	}
	return append(keys, agentKeys()...), nil
}

// privateKey is nil for what is no private key, and for one that only a
// passphrase opens: nobody is here to type it, but an agent may hold it.
func privateKey(file string) (ssh.Signer, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("read SSH key: %w", err)
	}
	if err != nil || !strings.Contains(string(content), "PRIVATE KEY-----") {
		return nil, nil
	}
	// Secrets lose their final newline easily; OpenSSH refuses such keys.
	key, err := ssh.ParsePrivateKey([]byte(strings.TrimSpace(string(content)) + "\n"))
	if errors.As(err, new(*ssh.PassphraseMissingError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read SSH key %s: %w", file, err)
	}
	return key, nil
}

// hostKeys makes the check of the host's key, and the algorithms to ask for:
// a host has several keys, known_hosts often only one.
func hostKeys(dirs []string, host credential.Host, address string) (ssh.HostKeyCallback, []string, error) {
	if host.AcceptAnyKey {
		return ssh.InsecureIgnoreHostKey(), nil, nil
	}
	var files []string
	for _, dir := range dirs {
		file := filepath.Join(dir, "known_hosts")
		if info, err := os.Stat(file); err == nil && info.Size() > 0 {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil, nil, fault.Refused("HostKeyUnknown", fmt.Errorf("%w: there is no known_hosts", wire.ErrHostKey),
			"Add known_hosts to the secret or the ssh-directory workspace: ssh-keyscan "+host.HostName)
	}
	known, err := knownhosts.New(files...)
	if err != nil {
		return nil, nil, fault.Usage("CredentialsUnreadable", fmt.Errorf("read known_hosts: %w", err), "")
	}
	check := func(name string, remote net.Addr, key ssh.PublicKey) error {
		if err := known(name, remote, key); err != nil {
			return fault.Refused("HostKeyUnknown", fmt.Errorf("%w (%w)", wire.ErrHostKey, err),
				"Somebody may be in between. If the host's key was changed, renew known_hosts: ssh-keyscan "+host.HostName)
		}
		return nil
	}
	return check, algorithmsOf(known, address), nil
}

// algorithmsOf finds which kinds of keys are known for a host, by asking about
// a key that nobody has.
func algorithmsOf(known ssh.HostKeyCallback, address string) []string {
	var unknown *knownhosts.KeyError
	if !errors.As(known(address, &net.TCPAddr{}, nobodysKey{}), &unknown) {
		return nil
	}
	var all []string
	for _, want := range unknown.Want {
		kind := want.Key.Type()
		if kind == ssh.KeyAlgoRSA {
			all = append(all, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		}
		all = append(all, kind)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

type nobodysKey struct{}

func (nobodysKey) Type() string                        { return "nobody" }
func (nobodysKey) Marshal() []byte                     { return nil }
func (nobodysKey) Verify([]byte, *ssh.Signature) error { return errors.New("nobody's key") }
