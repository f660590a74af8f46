package git

import (
	"net/http"
	"time"

	"github.com/lockstep-cd/lockstep/internal/clock"
)

// listening is a round tripper that hears a server's time.
type listening struct {
	http.RoundTripper
	clock *clock.Server
}

func (l listening) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(req)
	if err == nil {
		l.clock.Observe(resp.Header)
	}
	return resp, err
}

// Now is the server's time, as far as its answers have told it, and how far it
// is ahead of this machine's. Before the first answer, and over SSH, it is this
// machine's.
func (r *Remote) Now() (now time.Time, ahead time.Duration) { return r.clock.Now(), r.clock.Ahead() }
