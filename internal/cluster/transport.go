package cluster

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/lockstep-cd/lockstep/internal/clock"
)

// boundTransport ends every request with a context that the caller of the
// request does not know, and reads the server's clock from the answers. Helm's
// and kubectl's libraries take no context; this is how they are stopped.
type boundTransport struct {
	until context.Context
	next  http.RoundTripper
	clock *clock.Server
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
	t.clock.Observe(response.Header)
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
