package git

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestRow45_TheServersClock: what a Git host's answers say of its time is heard.
func TestRow45_TheServersClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, time.Hour, -time.Hour} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			http.NotFound(w, nil)
		}))
		defer server.Close()
		r, err := NewRemote(server.URL+"/env.git", Access{RetryFor: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if _, skew := r.Now(); skew != 0 {
			t.Errorf("a skew of %s before the first answer", skew)
		}
		if _, err := r.Tip(t.Context(), "main"); err == nil {
			t.Fatal("a repository that is not there has a tip")
		}
		now, skew := r.Now()
		if (skew-off).Abs() > 2*time.Second || (off == 0) != (skew == 0) || time.Until(now.Add(-off)).Abs() > time.Minute {
			t.Errorf("off by %s: got %s, %s", off, now, skew)
		}
	}
}
