package git

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// shortestSecret is how many characters a password needs to make seals: a seal
// can be read by all who may read the repository, and what made it could be
// found by trying. Hosts' tokens are longer; what a person thought of is not.
const shortestSecret = 20

// Seal is a text's message authentication code by the secret that opens this
// remote: whoever has the same one finds the same seal, and could push what is
// sealed without our help. A remote that asks for no login gives everybody the same seal,
// since everybody may push to it. ok is false where the secret is too short to
// be shown in this way, and over SSH, where a key may be an agent's.
func (r *Remote) Seal(text []byte) (seal string, ok bool) {
	if r.keys.target.scheme == "ssh" {
		return "", false
	}
	secret := r.keys.secret()
	if secret != "" && len(secret) < shortestSecret {
		return "", false
	}
	mac := hmac.New(sha256.New, []byte("lockstep "+secret))
	mac.Write(text)
	return fmt.Sprintf("%x", mac.Sum(nil)), true
}

// secret is what authorize sends along, "" for nothing.
func (k *keyring) secret() string {
	if k.target.scheme == "file" {
		return ""
	}
	u := k.target.httpURL()
	if k.target.password != "" {
		return k.target.password
	}
	if _, password, ok := k.lookup(u, k.home()); ok {
		return password
	}
	for _, f := range k.known() {
		if header := f.Option("http", "extraHeader", u); header != "" {
			return header
		}
	}
	return ""
}
