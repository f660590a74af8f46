package git

import (
	"net/url"
	"time"
)

// Access says how a remote may be reached. The zero value reaches public
// repositories, and on a laptop those whose credentials HOME holds.
type Access struct {
	// CredentialsPath is the folder of Tekton's creds-init, or a home folder:
	// .gitconfig, .git-credentials, .ssh/config, .ssh/known_hosts.
	CredentialsPath string
	// BasicAuth is a folder with .git-credentials and .gitconfig, or with
	// the username and password files of a kubernetes.io/basic-auth secret.
	// It stands in front of CredentialsPath.
	BasicAuth string
	// SSHDirectory is a folder with private keys, known_hosts and config, or
	// the ssh-privatekey and known_hosts of a kubernetes.io/ssh-auth secret.
	SSHDirectory string
	// CAFile is a PEM file of certificates trusted beside the system's.
	CAFile string
	// SkipTLSVerify accepts any certificate.
	SkipTLSVerify bool
	// HTTPProxy, HTTPSProxy and NoProxy stand in front of the environment's.
	HTTPProxy, HTTPSProxy, NoProxy string
	// RetryFor bounds how long a call goes on when the server is busy or out
	// of reach; 0 means one minute. The context's deadline counts as well.
	RetryFor time.Duration
	// Connections are shared with all remotes that name the same. Nil: each
	// remote has its own.
	Connections *Connections

	// home is set for submodules: the repository that a login without a host
	// was given for.
	home *url.URL
}
