package retry

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// LongestAfter is the most that After gives, whatever a server asks for.
const LongestAfter = 24 * time.Hour

// farAway is a time in seconds that time.Time still holds.
const farAway = 1 << 40

// After is how long an answer asks to be left alone: Retry-After in seconds or
// as a date, or else the end of GitHub's limit, X-RateLimit-Reset, where nothing
// remains of it. Dates count against the server's own clock, which the header
// Date tells. 0: it does not say.
func After(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, ok := number(text); ok {
		return bounded(time.Duration(min(seconds, int64(LongestAfter/time.Second))) * time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return bounded(at.Sub(now(h)))
	}
	if at, ok := number(h.Get("X-RateLimit-Reset")); ok && h.Get("X-RateLimit-Remaining") == "0" {
		// Its end may have passed on the way: the limit is still the reason.
		return max(time.Second, bounded(time.Unix(min(at, farAway), 0).Sub(now(h))))
	}
	return 0
}

// number reads one that is not negative; one that is too large is the largest.
func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, n >= 0 && (err == nil || errors.Is(err, strconv.ErrRange))
}

func bounded(d time.Duration) time.Duration { return min(max(d, 0), LongestAfter) }

// now is the time of the server that answered.
func now(h http.Header) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return time.Now()
}

// Busy reports whether an answer says that the server did nothing for now, so
// that any request may be made again: 429, 503, or 403 with a time to come back,
// which is how GitHub tells its secondary limits.
func Busy(status int, after time.Duration) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable ||
		status == http.StatusForbidden && after > 0
}
