// Package registry knows where charts and images are published: whether a
// version exists, where, and with which digest; how to fetch and how to push
// it. Chart repositories are OCI registries (oci://), static or ChartMuseum
// style HTTP repositories (http://, https://) and folders (file:// or a path).
//
// It does not know what a chart contains: archives are bytes with a digest.
package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/redact"
)

// ErrNotFound is returned where a repository was reached and says that it does
// not hold the chart, version or image. A repository that cannot be reached
// never gives it.
var ErrNotFound = errors.New("not found")

// DefaultPatience is how long requests are repeated while a server answers with
// 429 or 5xx or drops the connection.
const DefaultPatience = 30 * time.Second

// Access says how registries may be reached. The zero value reaches public
// ones anonymously over TLS.
type Access struct {
	// DockerConfig is a config.json in Docker's format, or the folder that
	// holds one (what DOCKER_CONFIG names). Its credentials are used for OCI
	// registries and HTTP chart repositories alike, each for its own host.
	// Empty: anonymous. A path without such a file is an error.
	DockerConfig string
	// Insecure lists hosts (host or host:port) that may be spoken to in plain
	// HTTP. Loopback addresses, localhost and *.localhost always may.
	Insecure []string
	// CAFile holds PEM certificates that are trusted besides the system's.
	CAFile string
	// Patience bounds the repetition of what failed for a while. Zero:
	// DefaultPatience. Negative: no repetition.
	Patience time.Duration
}

// Client reaches registries with one Access. It is safe for concurrent use.
type Client struct {
	keys     *keychain
	insecure hosts
	http     *patient // guards plain HTTP, repeats requests, no credentials
}

// New reads the credentials and certificates that a names.
func New(a Access) (*Client, error) {
	keys, err := loadKeychain(a.DockerConfig)
	if err != nil {
		return nil, err
	}
	base, err := dialer(a.CAFile)
	if err != nil {
		return nil, err
	}
	patience := a.Patience
	if patience == 0 {
		patience = DefaultPatience
	}
	insecure := newHosts(a.Insecure)
	return &Client{
		keys:     keys,
		insecure: insecure,
		http:     &patient{base: base, insecure: insecure, patience: patience},
	}, nil
}

// dialer is the standard transport that trusts the certificates of caFile as
// well, and that gives up on servers which accept a connection and say nothing.
func dialer(caFile string) (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = time.Minute
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fault.Usage("CertificateFileUnreadable", fmt.Errorf("read certificates: %w", err), "")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.Usage("CertificateFileUnreadable", fmt.Errorf("no PEM certificate in %s", caFile), "")
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// clean takes this client's secrets out of err.
func (c *Client) clean(err error) error { return redact.Error(err, c.keys.secrets...) }

// isOCI reports whether a chart repository is an OCI registry.
func isOCI(repository string) bool { return strings.HasPrefix(repository, "oci://") }

// isHTTP reports whether a chart repository is spoken to over HTTP.
func isHTTP(repository string) bool {
	return strings.HasPrefix(repository, "http://") || strings.HasPrefix(repository, "https://")
}
