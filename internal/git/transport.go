package git

import (
	"fmt"
	"time"

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
		rt, err := a.Connections.to(k.trust(a))
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
