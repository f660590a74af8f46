package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/lockstep-cd/lockstep/internal/retry"
)

// stopPatience is how long a server may take to end before it is killed.
const stopPatience = 10 * time.Second

// Stop ends the server of a folder and reports whether one ran. It returns when
// the process is gone.
func Stop(ctx context.Context, dir string) (bool, error) {
	i, err := Running(dir)
	if err != nil || i == nil {
		return false, err
	}
	if err := end(ctx, i.PID, stopPatience, func() bool { return !i.alive() }); err != nil {
		return true, fmt.Errorf("stop the servers of %s: %w", dir, err)
	}
	// One that was killed leaves its record.
	if i, err := Running(dir); err == nil && i == nil {
		_ = os.Remove(recordFile(dir))
	}
	return true, nil
}

// end asks a process to end, and kills it when its patience is over. gone is asked after the process is
// held by a handle, so that the signal reaches no other one with the same id.
func end(ctx context.Context, pid int, patience time.Duration, gone func() bool) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer process.Release()
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if gone() {
			return nil
		}
		if err := process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		if awaitGone(ctx, patience, gone) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("process %d does not end", pid)
}

func awaitGone(ctx context.Context, patience time.Duration, gone func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !gone() {
		if retry.Sleep(ctx, interval) != nil {
			return false
		}
	}
	return true
}
