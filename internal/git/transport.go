package git

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/lockstep-cd/lockstep/internal/clock"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

const (
	dialTimeout = 20 * time.Second
	// answerTimeout bounds the wait for the first byte of an answer; a server
	// may prepare a large pack or run hooks meanwhile.
	answerTimeout = 2 * time.Minute
)

// newTransport is the way to a remote; over HTTP, the server's clock is heard.
func newTransport(k *keyring, a Access, server *clock.Server) (wire.Transport, error) {
	switch t := k.target; t.scheme {
	case "https", "http":
		rt, err := newRoundTripper(k.trust(a))
		if err != nil {
			return nil, err
		}
		return &wire.HTTP{Client: wire.NewHTTPClient(listening{rt, server}), URL: t.httpURL(), Authorize: k.authorize}, nil
	case "ssh":
		return newSSH(k, a)
	case "file":
		return &wire.Local{Path: t.path}, nil
	}
	return nil, fault.Usage("InvalidURL", fmt.Errorf("%s: %w: no transport for %s", k.shown.text, ErrInvalid, k.target.scheme), "")
}

// trust adds what .gitconfig says about the host's certificate.
func (k *keyring) trust(a Access) Access {
	u := k.target.httpURL()
	for _, f := range k.known() {
		a.SkipTLSVerify = a.SkipTLSVerify || f.Option("http", "sslVerify", u) == "false"
		if a.CAFile == "" {
			a.CAFile = f.Option("http", "sslCAInfo", u)
		}
	}
	return a
}

func newRoundTripper(a Access) (*http.Transport, error) {
	trust, err := newTLSConfig(a)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                 proxyFor(a),
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       trust,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
	}, nil
}

func newTLSConfig(a Access) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: a.SkipTLSVerify}
	if a.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, fault.Usage("CertificateUnreadable", fmt.Errorf("read certificates: %w", err),
			"Check the name of the file in the ssl-ca-directory workspace (parameter crtFileName).")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.Usage("CertificateUnreadable", fmt.Errorf("read certificates: %s holds none in PEM form", a.CAFile), "")
	}
	c.RootCAs = pool
	return c, nil
}

// proxyFor is the environment's choice of proxies with a's in front.
func proxyFor(a Access) func(*http.Request) (*url.URL, error) {
	c := httpproxy.FromEnvironment()
	c.HTTPProxy = cmp.Or(a.HTTPProxy, c.HTTPProxy)
	c.HTTPSProxy = cmp.Or(a.HTTPSProxy, c.HTTPSProxy)
	c.NoProxy = cmp.Or(a.NoProxy, c.NoProxy)
	choose := c.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }
}
