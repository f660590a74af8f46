package promotion

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	const ms, s = time.Millisecond, time.Second
	for _, test := range []struct {
		attempt          int
		took, left, want time.Duration
	}{
		{1, 0, time.Hour, 20 * ms},
		{1, 100 * ms, time.Hour, 100 * ms},
		{4, 100 * ms, time.Hour, 800 * ms},
		{1000, 100 * ms, time.Hour, 5 * s},
		{1000, 2 * s, time.Hour, 32 * s},      // a slow server
		{1000, 100 * ms, 8 * s, 2 * s},        // little time left
		{1000, 100 * ms, 1, time.Millisecond}, // none
	} {
		if got := window(test.attempt, test.took, test.left); got != test.want {
			t.Errorf("window(%d, %v, %v) = %v, want %v", test.attempt, test.took, test.left, got, test.want)
		}
	}
}
