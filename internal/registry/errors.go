package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/redact"
)

func strip(url string) string { return redact.URL(url) }

// status is an HTTP answer that is not the expected one.
type status struct {
	code int
	text string // the server's own words, shortened
}

func (s *status) Error() string {
	if s.text == "" {
		return fmt.Sprintf("the server answered %d %s", s.code, http.StatusText(s.code))
	}
	return fmt.Sprintf("the server answered %d %s: %s", s.code, http.StatusText(s.code), s.text)
}

// statusOf is the HTTP status behind err, or 0.
func statusOf(err error) int {
	if own, ok := errors.AsType[*status](err); ok {
		return own.code
	}
	if theirs, ok := errors.AsType[*transport.Error](err); ok {
		return theirs.StatusCode
	}
	return 0
}

// explain gives err its meaning for whoever asked. host is where the request
// went; what says in words what was tried.
func (c *Client) explain(err error, host, what string) error {
	if err == nil {
		return nil
	}
	if fault.Of(err).Reason != fault.Unclassified {
		return c.clean(fmt.Errorf("%s: %w", what, err))
	}
	code := statusOf(err)
	wrapped := c.clean(fmt.Errorf("%s: %w", what, err))
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, ErrNotFound):
		return wrapped
	case code == http.StatusNotFound:
		return c.clean(fmt.Errorf("%s: %w: %w", what, ErrNotFound, err))
	case code == http.StatusUnauthorized:
		return fault.Retryable("RegistryAuthenticationFailed", wrapped,
			fmt.Sprintf("Check the entry of %s in the Docker config.json that is given to this step.", host))
	case code == http.StatusForbidden:
		return fault.Refused("RegistryAccessDenied", wrapped,
			fmt.Sprintf("The credentials for %s may not do this: check their rights on the repository.", host))
	case code == http.StatusTooManyRequests, code >= 500, code == 0:
		return fault.Retryable("RegistryUnavailable", wrapped,
			fmt.Sprintf("Check that %s is reachable from here and healthy, then run this again.", host))
	}
	return fault.Refused("RegistryRefused", wrapped, "")
}
