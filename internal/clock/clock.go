// Package clock knows what time it is for a server, from the header Date of its
// answers: what machines decide together must not rest on one machine's clock.
package clock

import (
	"net/http"
	"sync/atomic"
	"time"
)

// none is what the header Date, which has whole seconds, and the way of an
// answer explain by themselves.
const none = 2 * time.Second

// Server is a server's clock. The zero value is this machine's, until an answer
// was observed. It is safe for concurrent use.
type Server struct{ ahead atomic.Int64 }

// Observe takes the time from an answer's header; one without a Date says
// nothing.
func (s *Server) Observe(answer http.Header) {
	if date, err := http.ParseTime(answer.Get("Date")); err == nil {
		s.ahead.Store(int64(time.Until(date)))
	}
}

// Now is the server's time, in UTC, to the second.
func (s *Server) Now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())).UTC() }

// Ahead is how far the server's clock is ahead of this machine's, for people to
// know: 0 for less than two seconds.
func (s *Server) Ahead() time.Duration {
	ahead := time.Duration(s.ahead.Load())
	if ahead.Abs() < none {
		return 0
	}
	return ahead
}
