package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// explain gives err its meaning for the caller. host is where the request
// went; what says in words what was tried.
func (c *Client) explain(err error, host, what string) error {
	if err == nil {
		return nil
	}
	wrapped := c.clean(fmt.Errorf("%s: %w", what, err))
	if fault.Of(err).Reason != fault.Unclassified {
		return wrapped
	}
	host = hostBehind(err, host)
	switch code := statusOf(err); {
	case errors.Is(err, context.Canceled), errors.Is(err, ErrNotFound):
		return wrapped
	case code == http.StatusNotFound && isPing(err):
		return fault.Refused("NotARegistry", wrapped,
			fmt.Sprintf("%s answers, but not as an OCI registry. Check the host; a chart repository with an index.yaml is written https://, not oci://.", host))
	case code == http.StatusNotFound:
		return c.clean(fmt.Errorf("%s: %w: %w", what, ErrNotFound, err))
	case code != 0:
		return c.explainStatus(code, wrapped, host)
	}
	return explainConnection(err, wrapped, host)
}

func (c *Client) explainStatus(code int, err error, host string) error {
	switch {
	case code == http.StatusUnauthorized && !c.keys.knows(host):
		return fault.Retryable("RegistryAuthenticationFailed", err,
			fmt.Sprintf("No credentials for %s were given: add them to the Docker config.json of this step. Registries also answer so where there is no such repository.", host))
	case code == http.StatusUnauthorized:
		return fault.Retryable("RegistryAuthenticationFailed", err,
			fmt.Sprintf("Check the entry of %s in the Docker config.json that is given to this step.", host))
	case code == http.StatusForbidden:
		return fault.Refused("RegistryAccessDenied", err,
			fmt.Sprintf("The credentials for %s may not do this: check their rights on the repository.", host))
	case code == http.StatusMethodNotAllowed:
		return fault.Refused("RegistryRefused", err,
			fmt.Sprintf("What answers at %s does not take this request. Check that the repository can be published to, and its URL.", host))
	case code == http.StatusRequestEntityTooLarge:
		return fault.Refused("RegistryRefused", err, fmt.Sprintf("Raise the limit on the size of uploads at %s, or at the proxy before it.", host))
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return fault.Retryable("RegistryUnavailable", err,
			fmt.Sprintf("%s is busy or down. Check that it is healthy, then run this again.", host))
	}
	return fault.Refused("RegistryRefused", err, "")
}

// explainConnection is about a request that got no answer, or one that is none.
func explainConnection(cause, err error, host string) error {
	dns, isDNS := errors.AsType[*net.DNSError](cause)
	switch {
	case errors.Is(cause, context.DeadlineExceeded) && !errors.As(cause, new(*net.OpError)):
		return fault.Retryable("Timeout", err, fmt.Sprintf("Give it more time with timeout, or find out why %s is slow.", host))
	case errors.As(cause, new(*tls.CertificateVerificationError)):
		return fault.Refused("RegistryCertificateUntrusted", err,
			fmt.Sprintf("Give the certificate authority of %s with ca-file, or renew its certificate.", host))
	case errors.Is(cause, http.ErrSchemeMismatch), errors.As(cause, new(tls.RecordHeaderError)):
		return fault.Refused("RegistryWithoutTLS", err,
			fmt.Sprintf("%s speaks plain HTTP. List it in the parameter insecure if this network may read and change what is sent.", host))
	case isDNS && dns.IsNotFound:
		return fault.Retryable("RegistryHostUnknown", err,
			fmt.Sprintf("No host is called %s here. Check its name, and the name server if it is right.", dns.Name))
	case broken(cause), errors.As(cause, new(net.Error)):
		return fault.Retryable("RegistryUnavailable", err,
			fmt.Sprintf("Check that %s is reachable from here and healthy, then run this again.", host))
	}
	return fault.Retryable("RegistryAnswerInvalid", err,
		fmt.Sprintf("What answers at %s does not answer as a registry does. Check the URL, and proxies on the way.", host))
}

// hostBehind is the registry whose answer err is: a push also reads the base
// image, which may come from another one. A server of tokens is none.
func hostBehind(err error, asked string) string {
	e, ok := errors.AsType[*transport.Error](err)
	if ok && e.Request != nil && strings.HasPrefix(e.Request.URL.Path, "/v2/") {
		return e.Request.URL.Host
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		if u, err := url.Parse(e.URL); err == nil && strings.HasPrefix(u.Path, "/v2/") {
			return u.Host
		}
	}
	return asked
}

// isPing holds for the answer to the first question, whether this is a registry
// at all.
func isPing(err error) bool {
	e, ok := errors.AsType[*transport.Error](err)
	return ok && e.Request != nil && e.Request.URL.Path == "/v2/"
}
