package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/retry"
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
	looks map[ChartRef]*look
}

// look is the question for one chart. One caller at a time asks it.
type look struct {
	turn     chan struct{} // holds one token while somebody asks
	deadline time.Time
	answered bool
	answer   error
}

// Await returns when the chart is published. It is a Refused fault, which is
// ErrNotFound, when it is not within Patience. A caller that is cancelled leaves
// the question to the others.
func (p *Publications) Await(ctx context.Context, ref ChartRef) error {
	l := p.look(ref)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case l.turn <- struct{}{}:
	}
	defer func() { <-l.turn }()
	if l.answered {
		return l.answer
	}
	err := p.ask(ctx, ref, l.deadline)
	if ctx.Err() == nil {
		l.answered, l.answer = true, err
	}
	return err
}

func (p *Publications) look(ref ChartRef) *look {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, known := p.looks[ref]
	if !known {
		if p.looks == nil {
			p.looks = map[ChartRef]*look{}
		}
		l = &look{turn: make(chan struct{}, 1), deadline: time.Now().Add(p.Patience)}
		p.looks[ref] = l
	}
	return l
}

func (p *Publications) ask(ctx context.Context, ref ChartRef, deadline time.Time) error {
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
		if err := retry.Sleep(ctx, min(pause, left)); err != nil {
			return err
		}
	}
}
