package cluster

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// boundTransport ends every request with a context that the caller of the
// request does not know, and reads the server's clock from the answers. Helm's
// and kubectl's libraries take no context; this is how they are stopped.
type boundTransport struct {
	until context.Context
	next  http.RoundTripper
	clock *serverClock
}

func (t *boundTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	stop := context.AfterFunc(t.until, func() { cancel(context.Cause(t.until)) })
	end := func() { stop(); cancel(nil) }
	response, err := t.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		end()
		return nil, err
	}
	t.clock.observe(response.Header.Get("Date"))
	response.Body = &endingBody{ReadCloser: response.Body, end: end}
	return response, nil
}

// endingBody frees the request's context when its answer has been read.
type endingBody struct {
	io.ReadCloser
	end func()
}

func (b *endingBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// extend returns a context that ends by d later than ctx.
func extend(ctx context.Context, d time.Duration) context.Context {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		time.AfterFunc(d, func() { cancel(context.Cause(ctx)) })
	})
	return longer
}

// serverClock knows how far the API server's clock is from this machine's, so
// that leases made by several machines are judged by one clock.
type serverClock struct{ ahead atomic.Int64 }

func (c *serverClock) observe(date string) {
	if server, err := http.ParseTime(date); err == nil {
		c.ahead.Store(int64(time.Until(server)))
	}
}

func (c *serverClock) now() time.Time {
	return time.Now().Add(time.Duration(c.ahead.Load())).UTC()
}
