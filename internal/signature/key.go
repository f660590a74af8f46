package signature

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Files of a folder with a key. The first is that of a kubernetes.io/ssh-auth
// secret.
const (
	sshFile        = "ssh-privatekey"
	pgpFile        = "private.asc"
	passphraseFile = "passphrase"
)

// Key signs. Of the two it has one.
type Key struct {
	ssh ssh.Signer
	pgp *openpgp.Entity
}

// Folder is what a program asks its caller for to sign what it writes. Programs
// embed it in their config; the tag is that of internal/step.
type Folder struct {
	SigningKey string `workspace:"signing-key" desc:"Folder with the key that signs what is written: ssh-privatekey (SSH) or private.asc (OpenPGP), and passphrase where it has one. Not bound: nothing is signed."`
}

// Key opens the key; nil where no folder was given. A folder without a key that
// can be used is a fault, never a reason not to sign.
func (f Folder) Key() (*Key, error) {
	if f.SigningKey == "" {
		return nil, nil
	}
	var found []string
	for _, name := range []string{sshFile, pgpFile} {
		file := filepath.Join(f.SigningKey, name)
		if _, err := os.Stat(file); err == nil {
			found = append(found, file)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, invalid(err)
		}
	}
	if len(found) != 1 {
		return nil, fault.Usage("SigningKeyMissing", fmt.Errorf("%s holds %d keys; one of %s and %s belongs there", f.SigningKey, len(found), sshFile, pgpFile),
			"Nothing was written. Bind the secret that holds the key, or leave signing-key unbound.")
	}
	return Open(found[0], optional(filepath.Join(f.SigningKey, passphraseFile)))
}

// optional is the file, or "" where there is none.
func optional(file string) string {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return file
}

// Open reads a private key of either kind from a file, and its passphrase from
// another one; "": it has none. That it can sign is tried out. The error is a
// usage fault.
func Open(file, passphrase string) (*Key, error) {
	text, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Usage("SigningKeyMissing", fmt.Errorf("open the signing key: %w", err), "Nothing was written. Name the file that holds the key.")
	}
	if err != nil {
		return nil, invalid(err)
	}
	var secret []byte
	if passphrase != "" {
		if secret, err = readFile(passphrase); err != nil {
			return nil, invalid(fmt.Errorf("its passphrase: %w", err))
		}
	}
	key, err := parse(text, bytes.TrimRight(secret, "\r\n"))
	if err == nil {
		_, err = key.Sign(Git, nil)
	}
	if err != nil {
		return nil, invalid(fmt.Errorf("%s: %w", file, err))
	}
	return key, nil
}

func invalid(err error) error {
	return fault.Usage("SigningKeyInvalid", fmt.Errorf("open the signing key: %w", err),
		"Nothing was written. docs/signing.md says how to make a key and where its passphrase goes.")
}

func parse(text, passphrase []byte) (*Key, error) {
	if typeOf(text) == openpgp.PrivateKeyType {
		return parsePGP(text, passphrase)
	}
	return parseSSH(text, passphrase)
}

func parseSSH(text, passphrase []byte) (*Key, error) {
	signer, err := ssh.ParsePrivateKey(text)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		if len(passphrase) == 0 {
			return nil, errNoPassphrase
		}
		if signer, err = ssh.ParsePrivateKeyWithPassphrase(text, passphrase); err != nil {
			return nil, errors.New("the passphrase is not the key's")
		}
	}
	if err != nil {
		return nil, errors.New("it is no private key in the form of OpenSSH, PEM or armored OpenPGP") // the cause may quote it
	}
	return &Key{ssh: signer}, strong(signer.PublicKey())
}

var errNoPassphrase = errors.New("the key needs a passphrase, and none was given")

func parsePGP(text, passphrase []byte) (*Key, error) {
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read the OpenPGP key: %w", err)
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("it holds %d OpenPGP keys instead of one", len(keys))
	}
	if locked(keys[0]) {
		if len(passphrase) == 0 {
			return nil, errNoPassphrase
		}
		if err := keys[0].DecryptPrivateKeys(passphrase); err != nil {
			return nil, errors.New("the passphrase is not the key's")
		}
	}
	return &Key{pgp: keys[0]}, nil
}

func locked(e *openpgp.Entity) bool {
	if e.PrivateKey != nil && e.PrivateKey.Encrypted {
		return true
	}
	for _, sub := range e.Subkeys {
		if sub.PrivateKey != nil && sub.PrivateKey.Encrypted {
			return true
		}
	}
	return false
}

// Sign gives the armored signature of a text.
func (k *Key) Sign(namespace string, text []byte) (string, error) {
	if k.ssh != nil {
		s, err := sshsig.Sign(bytes.NewReader(text), k.ssh, sshsig.HashSHA512, namespace)
		if err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
		return string(sshsig.Armor(s)), nil
	}
	var out strings.Builder
	if err := openpgp.ArmoredDetachSign(&out, k.pgp, bytes.NewReader(text), &packet.Config{DefaultHash: crypto.SHA512}); err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return out.String() + "\n", nil
}

// ID is the fingerprint of the public key, "" of no key.
func (k *Key) ID() string {
	switch {
	case k == nil:
		return ""
	case k.ssh != nil:
		return ssh.FingerprintSHA256(k.ssh.PublicKey())
	}
	return fmt.Sprintf("%X", k.pgp.PrimaryKey.Fingerprint)
}

// Signers are whose signatures count where only this key's do.
func (k *Key) Signers() Signers {
	if k.ssh != nil {
		return Signers{ssh: []allowed{{who: k.ID(), key: k.ssh.PublicKey()}}}
	}
	return Signers{pgp: openpgp.EntityList{k.pgp}}
}

// Public is the SSH public key of the key; ok is false for OpenPGP.
func (k *Key) Public() (public PublicKey, ok bool) {
	if k.ssh == nil {
		return PublicKey{}, false
	}
	return PublicKey{text: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.ssh.PublicKey()))), key: k.ssh.PublicKey()}, true
}
