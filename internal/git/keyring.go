package git

import (
	"net/http"
	"net/url"
	"os"
	"sync"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/credential"
	"github.com/lockstep-cd/lockstep/internal/redact"
)

// keyring holds the credentials for one remote and the hosts it leads to, and
// keeps them out of every text.
type keyring struct {
	access Access
	shown  address // as the user gave it
	target address // after url.<base>.insteadOf

	mu      sync.Mutex
	folders []*credential.Folder // the first that knows wins
	secrets []string
}

func newKeyring(shown address, a Access) (*keyring, error) {
	if a.CredentialsPath == "" {
		a.CredentialsPath = os.Getenv("HOME") // a laptop; unset in most containers
	}
	k := &keyring{access: a, shown: shown, target: shown}
	if shown.password != "" {
		k.secrets = append(k.secrets, shown.password)
	}
	if err := k.read(); err != nil {
		return nil, err
	}
	for _, f := range k.folders {
		if text := f.Rewrite(shown.text); text != shown.text {
			target, err := parseAddress(text)
			if err != nil {
				return nil, err
			}
			k.target = target
			break
		}
	}
	return k, nil
}

// read reads the credential files, which may have changed since: tokens of an
// hour are renewed under a running program.
func (k *keyring) read() error {
	var folders []*credential.Folder
	for _, dir := range []string{k.access.BasicAuth, k.access.CredentialsPath} {
		f, err := credential.Read(dir)
		if err != nil {
			return fault.Usage("CredentialsUnreadable", err, "Check the permissions of the mounted secret.")
		}
		folders = append(folders, f)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.folders = folders
	for _, f := range folders {
		k.secrets = append(k.secrets, f.Secrets()...)
	}
	return nil
}

// authorize puts credentials on a request when some are meant for its very
// host. Those in the repository's URL stand in front of files.
func (k *keyring) authorize(req *http.Request, fresh bool) error {
	if fresh {
		if err := k.read(); err != nil {
			return err
		}
	}
	home := k.target.httpURL()
	if k.target.password != "" && credential.SameHost(req.URL, home) {
		req.SetBasicAuth(k.target.user, k.target.password)
		return nil
	}
	if user, password, ok := k.lookup(req.URL, home); ok {
		req.SetBasicAuth(user, password)
	}
	return nil
}

func (k *keyring) lookup(u, home *url.URL) (user, password string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range k.folders {
		if user, password, ok = f.Lookup(u, home); ok {
			return user, password, true
		}
	}
	return "", "", false
}

// redact takes everything that the keyring knows out of an error.
func (k *keyring) redact(err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return redact.Error(err, k.secrets...)
}
