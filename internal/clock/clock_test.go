package clock

import (
	"net/http"
	"testing"
	"time"
)

func TestRow45_AServersClockIsHeard(t *testing.T) {
	for off, want := range map[time.Duration]time.Duration{
		0: 0, time.Second: 0, -time.Second / 2: 0, time.Hour: time.Hour, -time.Hour: -time.Hour,
	} {
		var s Server
		s.Observe(http.Header{"Date": {time.Now().Add(off).UTC().Format(http.TimeFormat)}})
		for _, silent := range []http.Header{{}, {"Date": {"yesterday"}}} {
			s.Observe(silent) // what says nothing changes nothing
		}
		if (s.Ahead()-want).Abs() > 2*time.Second || (want == 0) != (s.Ahead() == 0) {
			t.Errorf("off by %s: got %s", off, s.Ahead())
		}
		if now := s.Now(); now.Sub(time.Now().Add(want)).Abs() > 3*time.Second {
			t.Errorf("off by %s: now is %s", off, now)
		}
	}
}
