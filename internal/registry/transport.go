package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/lockstep-cd/lockstep/internal/retry"
)

// stallTimeout is how long a body may bring nothing.
const stallTimeout = time.Minute

// patient guards plain HTTP, and asks again where that may help: reads whatever
// the reason is that passes, writes only where the server says that it did
// nothing. The caller of a write knows whether another repetition is harmless.
type patient struct {
	base     http.RoundTripper
	insecure hosts
	patience time.Duration
}

func (t *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.insecure.admit(req.URL); err != nil {
		return nil, err
	}
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	judge := func(err error) (time.Duration, bool) {
		if no, said := errors.AsType[*notNow](err); said && retry.Busy(no.status, no.after) {
			return no.after, repeatable(req)
		}
		after, again := passing(err)
		return after, again && reads
	}
	var resp *http.Response
	tries := 0
	err := t.policy(req.URL.Host).Do(req.Context(), judge, func(context.Context) (err error) {
		discard(resp)
		resp, err = t.once(req, tries)
		tries++
		return err
	})
	if _, answered := errors.AsType[*notNow](err); err == nil || answered {
		return resp, nil
	}
	discard(resp)
	return nil, err
}

func (t *patient) policy(of string) retry.Policy { return retry.Policy{For: t.patience, Of: of} }

// once sends the request. An answer that says "not now" is given with an error
// of that kind.
func (t *patient) once(req *http.Request, tries int) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	again := req.WithContext(ctx)
	if tries > 0 && req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			cancel(nil)
			return nil, err
		}
		again.Body = body
	}
	resp, err := t.base.RoundTrip(again)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	watch(resp, cancel)
	no := &notNow{status: resp.StatusCode, after: retry.After(resp.Header)}
	if retry.Busy(no.status, no.after) || passes(no.status) {
		return resp, no
	}
	return resp, nil
}

// notNow is an answer that may be another one a little later.
type notNow struct {
	status int
	after  time.Duration
}

func (n *notNow) Error() string {
	return fmt.Sprintf("the server answered %d %s", n.status, http.StatusText(n.status))
}

// repeatable reports whether the request's body can be sent once more.
func repeatable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// passing reports whether a read may succeed a little later, and how long the
// server wants to be left alone before.
func passing(err error) (after time.Duration, again bool) {
	if no, said := errors.AsType[*notNow](err); said {
		return no.after, true
	}
	return 0, broken(err)
}

// passes holds for the statuses of a server that is down or overtaxed.
func passes(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// broken holds for a connection that did not come about, broke, or stalled.
func broken(err error) bool {
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, lost) {
			return true
		}
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// discard reads a little of the body so that the connection can be used again.
func discard(resp *http.Response) {
	if resp == nil {
		return
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}
