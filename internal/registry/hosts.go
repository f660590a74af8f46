package registry

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// hosts are those that may be spoken to in plain HTTP, as host or host:port.
type hosts map[string]bool

func newHosts(list []string) hosts {
	h := hosts{}
	for _, host := range list {
		if host = strings.ToLower(strings.TrimSpace(host)); host != "" {
			h[host] = true
		}
	}
	return h
}

// plain reports whether plain HTTP is allowed to a host with or without port.
func (h hosts) plain(hostport string) bool {
	hostport = strings.ToLower(hostport)
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	return h[hostport] || h[host] || loopback(host)
}

// loopback holds for names and addresses that never leave this machine.
func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// admit refuses plain HTTP to hosts that were not listed for it. It stands in
// the transport, so that a redirect or a foreign URL in an index cannot turn a
// connection plain either.
func (h hosts) admit(u *url.URL) error {
	if u.Scheme != "http" || h.plain(u.Host) {
		return nil
	}
	return fault.Usage("PlainHTTPRefused",
		fmt.Errorf("%s://%s is plain HTTP: %w", u.Scheme, u.Host, errPlain),
		fmt.Sprintf("Use https, or list %s in the parameter insecure if this network may read and change what is sent.", u.Host))
}

var errPlain = errors.New("refused without leave")

// parseRepository checks the URL of an HTTP chart repository.
func parseRepository(repository string) (*url.URL, error) {
	u, err := url.Parse(repository)
	if err != nil || u.Host == "" {
		return nil, fault.Usage("RepositoryInvalid", fmt.Errorf("%q is not a repository URL", strip(repository)), "Example: https://charts.example.com/stable")
	}
	if u.User != nil {
		return nil, fault.Usage("CredentialsInURL", fmt.Errorf("the repository URL %s carries credentials", strip(repository)),
			"Put them into a Docker config.json under the host's name and name that file instead.")
	}
	return u, nil
}
