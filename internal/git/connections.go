package git

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// idlePerHost is how many connections to one host wait for the next request:
// several environments on one host are asked at once.
const idlePerHost = 16

// Connections keeps HTTP connections for the remotes that share it. Two remotes
// use the same ones only if they trust the same certificates and take the same
// proxies. A connection carries no credentials: each request has its own. The
// zero value is ready; it is safe for concurrent use.
type Connections struct {
	mu         sync.Mutex
	transports map[dialing]*http.Transport
}

// dialing is all that a connection depends on besides the host.
type dialing struct {
	skipTLSVerify bool
	certificates  [sha256.Size]byte // of the content: the file may be replaced by another
	proxies       httpproxy.Config
}

// to is the transport for an access; of its own where c is nil.
func (c *Connections) to(a Access) (*http.Transport, error) {
	pem, err := readCertificates(a.CAFile)
	if err != nil {
		return nil, err
	}
	s := dialing{skipTLSVerify: a.SkipTLSVerify, proxies: proxiesOf(a)}
	if a.CAFile != "" {
		s.certificates = sha256.Sum256(pem)
	}
	if c == nil {
		return s.newTransport(a.CAFile, pem)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, known := c.transports[s]; known {
		return t, nil
	}
	t, err := s.newTransport(a.CAFile, pem)
	if err != nil {
		return nil, err
	}
	if c.transports == nil {
		c.transports = map[dialing]*http.Transport{}
	}
	c.transports[s] = t
	return t, nil
}

func (s dialing) newTransport(file string, pem []byte) (*http.Transport, error) {
	trust, err := s.newTLSConfig(file, pem)
	if err != nil {
		return nil, err
	}
	choose := s.proxies.ProxyFunc()
	return &http.Transport{
		Proxy:                 func(r *http.Request) (*url.URL, error) { return choose(r.URL) },
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       trust,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   idlePerHost,
		ForceAttemptHTTP2:     true,
	}, nil
}

func (s dialing) newTLSConfig(file string, pem []byte) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.skipTLSVerify}
	if file == "" {
		return c, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.Usage("CertificateUnreadable", fmt.Errorf("read certificates: %s holds none in PEM form", file), "")
	}
	c.RootCAs = pool
	return c, nil
}

// readCertificates gives nothing for no file.
func readCertificates(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Usage("CertificateUnreadable", fmt.Errorf("read certificates: %w", err),
			"Check the name of the file in the ssl-ca-directory workspace (parameter crtFileName).")
	}
	return pem, nil
}

// proxiesOf is the environment's choice of proxies with a's in front.
func proxiesOf(a Access) httpproxy.Config {
	c := *httpproxy.FromEnvironment()
	c.HTTPProxy = cmp.Or(a.HTTPProxy, c.HTTPProxy)
	c.HTTPSProxy = cmp.Or(a.HTTPSProxy, c.HTTPSProxy)
	c.NoProxy = cmp.Or(a.NoProxy, c.NoProxy)
	return c
}
