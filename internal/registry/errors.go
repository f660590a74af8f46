package registry

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
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
