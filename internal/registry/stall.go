package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// stalled is the error of a body that brings nothing any more: a timeout.
type stalled struct{}

func (stalled) Error() string {
	return fmt.Sprintf("the server sent nothing for %s in the middle of its answer", stallTimeout)
}
func (stalled) Timeout() bool   { return true }
func (stalled) Temporary() bool { return true }

// watch ends the request whose answer stalls. No other bound does: a large
// archive may rightly take long, one that stands still does not arrive.
func watch(resp *http.Response, cancel context.CancelCauseFunc) {
	if resp.Body == http.NoBody {
		cancel(nil)
		return
	}
	resp.Body = &watched{body: resp.Body, cancel: cancel}
}

type watched struct {
	body   io.ReadCloser
	cancel context.CancelCauseFunc
}

func (w *watched) Read(p []byte) (int, error) {
	timer := time.AfterFunc(stallTimeout, func() { w.cancel(stalled{}) })
	n, err := w.body.Read(p)
	if !timer.Stop() && err != nil {
		return n, stalled{}
	}
	return n, err
}

func (w *watched) Close() error {
	defer w.cancel(nil)
	return w.body.Close()
}
