package registry

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

const (
	firstPause = 200 * time.Millisecond
	mostPause  = 5 * time.Second
)

// patient guards plain HTTP and repeats reads that failed for a reason which
// passes. Writes go through once: whoever writes knows whether a repetition is
// harmless.
type patient struct {
	base     http.RoundTripper
	insecure hosts
	patience time.Duration
}

func (t *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.insecure.admit(req.URL); err != nil {
		return nil, err
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return t.base.RoundTrip(req)
	}
	deadline := time.Now().Add(t.patience)
	for attempt := 0; ; attempt++ {
		resp, err := t.base.RoundTrip(req)
		if !passing(resp, err) {
			return resp, err
		}
		pause := pauseBefore(attempt, resp)
		if time.Until(deadline) < pause {
			return resp, err
		}
		discard(resp)
		select {
		case <-req.Context().Done():
			return nil, req.Context().Err()
		case <-time.After(pause):
		}
	}
}

// passing reports whether the same request may succeed a little later.
func passing(resp *http.Response, err error) bool {
	if err != nil {
		var timeout net.Error
		return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
			errors.As(err, &timeout) && timeout.Timeout()
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// pauseBefore is what the server asked for with Retry-After in seconds, else
// a doubling pause with jitter, so that many clients do not return together.
func pauseBefore(attempt int, resp *http.Response) time.Duration {
	if resp != nil {
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds >= 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	pause := min(firstPause<<min(attempt, 10), mostPause)
	return pause/2 + rand.N(pause/2)
}

// discard reads a little of the body so that the connection can be used again.
func discard(resp *http.Response) {
	if resp == nil {
		return
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}
