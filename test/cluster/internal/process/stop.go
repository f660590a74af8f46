package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Grace is how long a server may take to end after SIGTERM; then it is killed.
const Grace = 10 * time.Second

// Stop ends a server and waits until it is gone, because the next start needs its port and its files. A record
// whose process is gone, or whose id now belongs to another process, is only removed.
func (t Table) Stop(ctx context.Context, name string) error {
	r, err := t.read(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = r.end(ctx)
	} else {
		err = nil // an unreadable record names no process that we could be sure of
	}
	if err != nil {
		return fmt.Errorf("stop %s (process %d): %w", name, r.PID, err)
	}
	return os.Remove(t.recordPath(name))
}

func (r record) end(ctx context.Context) error {
	// The handle is taken before the start time is compared: from here on it cannot come to mean another process.
	p, err := os.FindProcess(r.PID)
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }()
	for _, s := range []struct {
		signal os.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, Grace}, {syscall.SIGKILL, Grace}} {
		if !r.alive() {
			return nil
		}
		if err := p.Signal(s.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		if r.gone(ctx, s.wait) {
			return nil
		}
	}
	return errors.New("it is still there after SIGKILL")
}

func (r record) gone(ctx context.Context, limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for r.alive() {
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}
