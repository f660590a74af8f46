// Package retry knows how to try again: how long to pause, for how long in all,
// and what a server asks for in its answer. It does not know which errors pass:
// each room judges its own.
package retry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
)

// Policy bounds the tries of one operation.
type Policy struct {
	// For bounds them all: no try starts later. A running one is bounded by the
	// context alone, since a large transfer may rightly take longer. The
	// context's deadline counts as well. Where there is neither, or For is
	// negative, there is one try.
	For time.Duration
	// Tries is how many there are at most; 0: as many as there is time for.
	Tries int
	// Longest is the longest pause of our own choice; 0: ten seconds.
	Longest time.Duration
	// Of says in the log what is waited for.
	Of string
	// Hide takes out of an error what no log may show. Nil: it shows nothing.
	Hide func(error) error
	// Log is the default one where it is nil.
	Log *slog.Logger
}

// Judge reports whether the same operation may succeed a little later, and how
// long the server wants to be left alone before; 0: it does not say.
type Judge func(err error) (after time.Duration, again bool)

// Do tries an operation until it succeeds, or its error does not pass, or there
// is no time for another try. Pauses double, half of each at random, so that
// many clients do not come back together; where the server says how long, the
// pause is as long and a little more. A server that asks for more time than
// there is gets no other try. The error is the operation's last, or the
// context's cause when it ended in a pause.
func (p Policy) Do(ctx context.Context, judge Judge, operation func(context.Context) error) error {
	b := p.bounds(ctx)
	for try := 1; ; try++ {
		err := operation(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		after, again := judge(err)
		if !again || b.end.IsZero() || try == p.Tries {
			return err
		}
		wait := p.pause(try, after)
		if time.Now().Add(wait).After(b.end) {
			return b.gaveUp(err, after)
		}
		p.tell(ctx, wait, err)
		if err := Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// bounds are the times between which tries start.
type bounds struct {
	start, end time.Time // no end: one try
	callers    bool      // the end is the context's deadline
}

func (p Policy) bounds(ctx context.Context) bounds {
	b := bounds{start: time.Now()}
	if p.For < 0 {
		return b
	}
	if p.For > 0 {
		b.end = b.start.Add(p.For)
	}
	if deadline, bounded := ctx.Deadline(); bounded && (p.For == 0 || deadline.Before(b.end)) {
		b.end, b.callers = deadline, true
	}
	return b
}

// gaveUp keeps the cause, which says more than that the time is over.
func (b bounds) gaveUp(err error, after time.Duration) error {
	if after > 0 {
		err = fmt.Errorf("%w (the server asks for a pause of %s)", err, after)
	}
	if b.callers {
		return fmt.Errorf("%w: no time for another try: %w", err, context.DeadlineExceeded)
	}
	return fmt.Errorf("gave up after %s: %w", time.Since(b.start).Round(time.Millisecond), err)
}

func (p Policy) pause(try int, after time.Duration) time.Duration {
	pause := min(firstPause<<min(try-1, 20), cmp.Or(p.Longest, longestPause))
	if after > 0 {
		return bounded(after) + rand.N(pause/2)
	}
	return pause/2 + rand.N(pause/2)
}

func (p Policy) tell(ctx context.Context, wait time.Duration, err error) {
	if p.Hide != nil {
		err = p.Hide(err)
	}
	cmp.Or(p.Log, slog.Default()).InfoContext(ctx, "try again", "for", p.Of, "in", wait.Round(time.Millisecond), "reason", err)
}

// Sleep returns after d, or with the context's cause when that ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
