package signature

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// PublicKey is an SSH public key.
type PublicKey struct {
	text string
	key  ssh.PublicKey
}

// ParsePublicKey reads the line of a .pub file: type, key and, if it likes, a
// comment.
func ParsePublicKey(text string) (PublicKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil || len(options) > 0 || len(rest) > 0 {
		return PublicKey{}, errors.New("it is no SSH public key such as ssh-ed25519 AAAA…, the line of a .pub file")
	}
	return PublicKey{text: strings.TrimSpace(text), key: key}, strong(key)
}

// MarshalText gives the form that ParsePublicKey reads.
func (p PublicKey) MarshalText() ([]byte, error) { return []byte(p.text), nil }

func (p PublicKey) String() string { return p.text }

const fewestBits = 2048 // of an RSA key

// strong refuses keys whose signatures say little.
func strong(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		wrapped, ok := key.(ssh.CryptoPublicKey)
		if !ok {
			break
		}
		if public, ok := wrapped.CryptoPublicKey().(*rsa.PublicKey); ok && public.N.BitLen() >= fewestBits {
			return nil
		}
		return fmt.Errorf("an RSA key needs %d bits or more", fewestBits)
	}
	return fmt.Errorf("keys of the type %s are not taken: use ssh-ed25519", key.Type())
}
