package git

import (
	"net/http"
	"sync/atomic"
	"time"
)

// noSkew is what the header Date, which has whole seconds, and the way of an
// answer explain by themselves.
const noSkew = 2 * time.Second

// clock listens to what a server's answers say of its time.
type clock struct {
	base http.RoundTripper
	skew atomic.Int64 // of the server's clock against ours, in nanoseconds
}

func (c *clock) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		skew := time.Until(date)
		if skew.Abs() < noSkew {
			skew = 0
		}
		c.skew.Store(int64(skew))
	}
	return resp, nil
}

// Now is the server's time, as far as its answers have told it: what is decided
// by time must not rest on this machine's clock. skew is how far the server's is
// ahead of ours, 0 for less than two seconds, and where nothing is known of it:
// before the first answer, and over SSH.
func (r *Remote) Now() (now time.Time, skew time.Duration) {
	if r.clock != nil {
		skew = time.Duration(r.clock.skew.Load())
	}
	return time.Now().Add(skew), skew
}
