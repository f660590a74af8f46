package git

import (
	"path/filepath"
	"time"
)

// Login is what a program asks its caller for to reach a Git host. Programs
// embed it in their config; the tags are those of internal/step.
type Login struct {
	SSLVerify   bool   `param:"sslVerify" default:"true" desc:"Whether to check the Git server's certificate. false is unsafe; bind ssl-ca-directory instead."`
	CRTFileName string `param:"crtFileName" default:"ca-bundle.crt" desc:"File of the workspace ssl-ca-directory with PEM certificates to trust besides the system's."`
	HTTPProxy   string `param:"httpProxy" desc:"Proxy for http URLs of the Git server. Example: http://proxy.example.com:3128"`
	HTTPSProxy  string `param:"httpsProxy" desc:"Proxy for https URLs of the Git server. Example: http://proxy.example.com:3128"`
	NoProxy     string `param:"noProxy" desc:"Hosts to reach without a proxy, separated by commas. Example: .example.com,10.0.0.0/8"`

	SSHDirectory string `workspace:"ssh-directory" desc:"Folder with private keys, known_hosts and config, or a kubernetes.io/ssh-auth secret."`
	BasicAuth    string `workspace:"basic-auth" desc:"Folder with .git-credentials and .gitconfig, or a kubernetes.io/basic-auth secret (username, password)."`
	SSLCA        string `workspace:"ssl-ca-directory" desc:"Folder with certificates; see crtFileName."`
	Creds        string `credentials:"path"`
}

// Access is what the caller gave. A retry goes on for retryFor; see Access.
func (l Login) Access(retryFor time.Duration) Access {
	return Access{
		CredentialsPath: l.Creds, BasicAuth: l.BasicAuth, SSHDirectory: l.SSHDirectory, CAFile: l.CAFile(), SkipTLSVerify: !l.SSLVerify,
		HTTPProxy: l.HTTPProxy, HTTPSProxy: l.HTTPSProxy, NoProxy: l.NoProxy, RetryFor: retryFor,
	}
}

// Opener opens remotes that share their connections; see Access.
func (l Login) Opener(retryFor time.Duration) func(url string) (*Remote, error) {
	access := l.Access(retryFor)
	access.Connections = &Connections{}
	return func(url string) (*Remote, error) { return NewRemote(url, access) }
}

// CAFile is the file of certificates; "" where no folder of them was given.
func (l Login) CAFile() string {
	if l.SSLCA == "" {
		return ""
	}
	return filepath.Join(l.SSLCA, l.CRTFileName)
}
