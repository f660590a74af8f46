package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// How often a repository is asked for a chart that is not published yet.
const (
	firstLook  = time.Second
	seldomLook = 10 * time.Second
)

// Publications waits for charts to be published. Each is asked for once, however
// many callers want to know. It is safe for concurrent use.
type Publications struct {
	Client   *Client
	Patience time.Duration // how long a chart may still be on its way

	mu    sync.Mutex
	asked map[ChartRef]func() error
}

// Await returns when the chart is published. It is a Refused fault, which is
// ErrNotFound, when it is not within Patience.
func (p *Publications) Await(ctx context.Context, ref ChartRef) error {
	p.mu.Lock()
	if p.asked == nil {
		p.asked = map[ChartRef]func() error{}
	}
	look, already := p.asked[ref]
	if !already {
		look = sync.OnceValue(func() error { return p.look(ctx, ref) })
		p.asked[ref] = look
	}
	p.mu.Unlock()
	return look()
}

func (p *Publications) look(ctx context.Context, ref ChartRef) error {
	deadline := time.Now().Add(p.Patience)
	for pause := firstLook; ; pause = min(2*pause, seldomLook) {
		_, err := p.Client.FindChart(ctx, ref)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fault.Refused("ChartNotPublished", fmt.Errorf("%w, also not after %s: nothing was changed", err, p.Patience),
				"Publish the chart first, or raise the time to wait; the check can be left out.")
		}
		slog.InfoContext(ctx, "the chart is not published yet", "chart", ref.String(), "left", left.Round(time.Second))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(min(pause, left)):
		}
	}
}
