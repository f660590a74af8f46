package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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
	turn     chan struct{} // holds one token while a caller asks
	start    time.Time
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
	err := p.ask(ctx, ref, l.start)
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
		l = &look{turn: make(chan struct{}, 1), start: time.Now()}
		p.looks[ref] = l
	}
	return l
}

func (p *Publications) ask(ctx context.Context, ref ChartRef, start time.Time) error {
	deadline := p.deadline(ctx, start)
	for pause := firstLook; ; pause = min(2*pause, seldomLook) {
		_, err := p.Client.FindChart(ctx, ref)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return p.notPublished(ctx, ref, err, time.Since(start))
		}
		slog.InfoContext(ctx, "the chart is not published yet", "chart", ref.String(), "left", left.Round(time.Second))
		if err := retry.Sleep(ctx, min(pause, left)); err != nil {
			return fmt.Errorf("wait for %s, %s so far: %w", ref, time.Since(start).Round(time.Second), err)
		}
	}
}

// margin is what is left of the context's time when the waiting ends, so that the
// answer says what was waited for, and not that the time is over.
const margin = 10 * time.Second

func (p *Publications) deadline(ctx context.Context, start time.Time) time.Time {
	deadline := start.Add(p.Patience)
	if end, ok := ctx.Deadline(); ok {
		if end = end.Add(-min(margin, end.Sub(start)/4)); end.Before(deadline) {
			return end
		}
	}
	return deadline
}

// mostVersions bounds how many versions an error names.
const mostVersions = 5

// notPublished is the end of the waiting: it names the newest versions that there are.
func (p *Publications) notPublished(ctx context.Context, ref ChartRef, err error, waited time.Duration) error {
	hint := "Check the version. To wait until it is published, set chart-timeout, such as 5m; to go on without it, skip-chart-check."
	if p.Patience > 0 {
		err = fmt.Errorf("%w after %s", err, waited.Round(100*time.Millisecond))
	}
	versions, failed := p.Client.ChartVersions(ctx, ref)
	switch {
	case failed != nil:
		slog.DebugContext(ctx, "the published versions cannot be listed", "chart", ref.String(), "error", failed)
	case len(versions) == 0:
		err = fmt.Errorf("%w; no version of %s is published there", err, ref.Name)
	default:
		err = fmt.Errorf("%w; the newest published versions are %s", err, strings.Join(versions[:min(len(versions), mostVersions)], ", "))
	}
	return fault.Refused("ChartNotPublished", fmt.Errorf("%w: nothing was changed", err), hint)
}
