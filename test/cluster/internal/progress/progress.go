// Package progress tells a person what a long command is doing and how long each part took.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// stillEvery is how long a part may be silent before a line says that it is still at work.
const stillEvery = 30 * time.Second

// worthMentioning is the duration from which the end of a part gets a line of its own.
const worthMentioning = time.Second

// Log writes lines that begin with the time since it was made.
type Log struct {
	out   io.Writer
	start time.Time

	mu    sync.Mutex
	depth int // how many calls of Do are inside each other now
}

// New returns a Log that writes to out.
func New(out io.Writer) *Log { return &Log{out: out, start: time.Now()} }

// Printf writes one line.
func (l *Log) Printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%7.1fs  %s\n", time.Since(l.start).Seconds(), fmt.Sprintf(format, args...))
}

// Do runs work under a name: a line at its beginning, one now and then while it lasts, and one at its end when it
// took long enough to matter. Work may itself call Do: then only the innermost reminds. The error of work is returned
// as it is.
func (l *Log) Do(what string, work func() error) error {
	l.Printf("%s …", what)
	began := time.Now()
	done := make(chan struct{})
	var ticking sync.WaitGroup
	level := l.enter(1)
	ticking.Go(func() { l.remind(what, level, began, done) })
	err := work()
	close(done)
	ticking.Wait()
	l.enter(-1)
	took := time.Since(began)
	switch {
	case err != nil:
		l.Printf("%s: failed after %s", what, round(took))
	case took >= worthMentioning:
		l.Printf("%s: done in %s", what, round(took))
	}
	return err
}

func (l *Log) enter(by int) (depth int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.depth += by
	return l.depth
}

func (l *Log) remind(what string, level int, began time.Time, done <-chan struct{}) {
	tick := time.NewTicker(stillEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if l.enter(0) != level {
				continue
			}
			l.Printf("%s: still at it after %s", what, round(time.Since(began)))
		}
	}
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
