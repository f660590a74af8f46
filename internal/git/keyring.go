package git

import (
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
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
	own := credential.SameHost(req.URL, k.target.httpURL())
	if own {
		k.addHeader(req)
	}
	if k.target.password != "" && own {
		req.SetBasicAuth(k.target.user, k.target.password)
		return nil
	}
	if user, password, ok := k.lookup(req.URL, k.home()); ok {
		req.SetBasicAuth(user, password)
	}
	return nil
}

// home is the host for which logins without a host of their own are meant.
func (k *keyring) home() *url.URL {
	if k.access.home != nil {
		return k.access.home
	}
	return k.target.httpURL()
}

// addHeader adds http.<url>.extraHeader of .gitconfig, in which some systems
// hand over their tokens.
func (k *keyring) addHeader(req *http.Request) {
	for _, f := range k.known() {
		name, value, ok := strings.Cut(f.Option("http", "extraHeader", req.URL), ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		req.Header.Set(strings.TrimSpace(name), value)
		k.mu.Lock()
		if !slices.Contains(k.secrets, value) {
			k.secrets = append(k.secrets, value)
		}
		k.mu.Unlock()
		return
	}
}

func (k *keyring) known() []*credential.Folder {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.folders
}

func (k *keyring) lookup(u, home *url.URL) (user, password string, ok bool) {
	for _, f := range k.known() {
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
