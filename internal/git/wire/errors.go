package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/lockstep-cd/lockstep/internal/retry"
)

// RemoteError is what the server says when it refuses: its own words.
type RemoteError struct{ Message string }

func (e *RemoteError) Error() string { return "server says: " + e.Message }

// HTTPError is an answer with a status that is no success.
type HTTPError struct {
	Status     int
	Message    string        // the start of a plain-text body, or ""
	RetryAfter time.Duration // how long the server asks to be left alone, or 0
}

func (e *HTTPError) Error() string {
	text := fmt.Sprintf("server answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Transient reports whether the same request may succeed a little later, and
// how long the server wants to be left alone.
func Transient(err error) (after time.Duration, ok bool) {
	if he, is := errors.AsType[*HTTPError](err); is {
		if retry.Busy(he.Status, he.RetryAfter) {
			return he.RetryAfter, true
		}
		switch he.Status {
		case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
			return he.RetryAfter, true
		}
		return 0, false
	}
	return 0, transientNetwork(err)
}

func transientNetwork(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	// A certificate that is wrong stays wrong; a record that is cut does not.
	if _, is := errors.AsType[*tls.CertificateVerificationError](err); is {
		return false
	}
	if _, is := errors.AsType[x509.UnknownAuthorityError](err); is {
		return false
	}
	if dns, is := errors.AsType[*net.DNSError](err); is {
		return dns.IsTemporary || dns.IsTimeout
	}
	for _, lost := range []error{io.ErrUnexpectedEOF, io.EOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, lost) {
			return true
		}
	}
	ne, is := errors.AsType[net.Error](err)
	return is && ne.Timeout()
}
