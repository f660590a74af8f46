package registry

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// keychain answers which credentials belong to a host. It reads one file once
// and nothing else: no environment, no home directory.
type keychain struct {
	file    *configfile.ConfigFile
	secrets []string // every secret of the file, for redaction
}

func loadKeychain(path string) (*keychain, error) {
	if path == "" {
		return &keychain{file: configfile.New("")}, nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, config.ConfigFileName)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Usage("CredentialsUnreadable", fmt.Errorf("read registry credentials: %w", err), mountHint(err))
	}
	file, err := config.LoadFromReader(bytes.NewReader(content))
	if err != nil {
		// The parser's message may quote the file, hence only the path.
		return nil, fault.Usage("CredentialsUnreadable", fmt.Errorf("%s is not a Docker config.json", path),
			`Its form is {"auths": {"registry.example.com": {"auth": "<base64 of user:password>"}}}.`)
	}
	return &keychain{file: file, secrets: secretsOf(file)}, nil
}

func mountHint(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "Mount a secret of type kubernetes.io/dockerconfigjson with its key projected to config.json."
	}
	return ""
}

func secretsOf(file *configfile.ConfigFile) []string {
	var secrets []string
	for _, a := range file.AuthConfigs {
		encoded := base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password))
		secrets = append(secrets, a.Password, a.IdentityToken, a.RegistryToken, encoded)
	}
	return secrets
}

// Resolve implements authn.Keychain.
func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	for _, key := range []string{target.String(), target.RegistryStr()} {
		found, err := k.lookup(key)
		if err != nil || found != (types.AuthConfig{}) {
			return authn.FromConfig(authn.AuthConfig{
				Username: found.Username, Password: found.Password, Auth: found.Auth,
				IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
			}), err
		}
	}
	return authn.Anonymous, nil
}

// lookup returns the zero value where nothing is known about key.
func (k *keychain) lookup(key string) (types.AuthConfig, error) {
	if key == name.DefaultRegistry {
		key = authn.DefaultAuthKey
	}
	found, err := k.file.GetAuthConfig(key)
	if err != nil {
		return types.AuthConfig{}, fault.Retryable("CredentialsUnreadable", fmt.Errorf("look up credentials of %s: %w", key, err),
			"The Docker config.json names a credential helper, which failed: check that it is installed and may log in.")
	}
	found.ServerAddress = "" // set by the lookup itself, also where nothing was found
	return found, nil
}

// knows reports whether there are credentials for a host.
func (k *keychain) knows(host string) bool {
	if host == name.DefaultRegistry {
		host = authn.DefaultAuthKey
	}
	found, err := k.lookup(host)
	return err != nil || found != (types.AuthConfig{})
}

// authorised adds to each request the credentials of that request's own host.
// A redirect or an index that names another host therefore never carries the
// first host's credentials there.
type authorised struct {
	base http.RoundTripper
	keys *keychain
}

func (a *authorised) RoundTrip(req *http.Request) (*http.Response, error) {
	found, err := a.keys.lookup(req.URL.Host)
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Del("Authorization")
	switch {
	case found.Username != "":
		req.SetBasicAuth(found.Username, found.Password)
	case found.RegistryToken != "":
		req.Header.Set("Authorization", "Bearer "+found.RegistryToken)
	}
	return a.base.RoundTrip(req)
}

// FindDockerConfig chooses the Docker config.json of a program: the explicit
// path where one is given, else the one that Tekton left below its credentials
// folder, else Docker's own places (DOCKER_CONFIG, the home folder). "" means
// that there is none: anonymous. It is for programs to fill Access with; the
// rest of this room reads no environment.
func FindDockerConfig(explicit, credentials string) string {
	if explicit != "" {
		return explicit
	}
	folders := []string{os.Getenv("DOCKER_CONFIG")}
	if home, err := os.UserHomeDir(); err == nil {
		folders = append(folders, filepath.Join(home, ".docker"))
	}
	if credentials != "" {
		folders = append([]string{filepath.Join(credentials, ".docker")}, folders...)
	}
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, config.ConfigFileName)); folder != "" && err == nil {
			return folder
		}
	}
	return ""
}
