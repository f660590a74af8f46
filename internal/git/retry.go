package git

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

const (
	defaultPatience = time.Minute
	firstPause      = 100 * time.Millisecond
	longestPause    = 10 * time.Second
)

// try runs an operation again while the server is busy or out of reach: with
// exponential pauses, half of each at random so that many clients do not come
// back together, or longer where the server says so. No attempt starts after
// Access.RetryFor; a running one is bounded by the context alone, since a
// large transfer may rightly take longer.
func (r *Remote) try(ctx context.Context, operation func(context.Context) error) error {
	patience := r.access.RetryFor
	if patience <= 0 {
		patience = defaultPatience
	}
	end := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := operation(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		after, ok := wire.Transient(err)
		if !ok {
			return err
		}
		wait := max(after, pause/2+rand.N(pause/2))
		if time.Now().Add(wait).After(end) {
			return fmt.Errorf("gave up after %s: %w", patience, err)
		}
		slog.WarnContext(ctx, "try again", "remote", r.URL(), "in", wait.Round(time.Millisecond), "reason", r.keys.redact(err))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
