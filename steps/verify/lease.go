package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/release"
)

// underLease renews the lease that helm-apply has kept for this run until the work is
// done: how long all Helm tests take is not known beforehand. When another run takes the
// lease all the same, it deploys: the work is cancelled, and what it found does not count.
func underLease(ctx context.Context, c *config, client *cluster.Client, work func(context.Context) error) error {
	if c.Run == "" {
		return work(ctx)
	}
	kept, err := client.RenewLease(ctx, release.LeaseName(c.Release), c.Run)
	if errors.Is(err, cluster.ErrLeaseLost) {
		return work(ctx) // helm-apply kept none
	}
	if err != nil {
		return err
	}
	working, end := context.WithCancelCause(ctx)
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		renew(working, end, c, client, max(kept/3, time.Second/2))
	}()
	err = work(working)
	end(nil)
	<-renewing
	if lost := context.Cause(working); errors.Is(lost, cluster.ErrLeaseLost) {
		return fault.Retryable("LeaseLost", fmt.Errorf("verify release %s: %w", c.Release, lost),
			"Another run deploys this release, and its verification counts. If the API server was out of reach for long, raise keep-lease.")
	}
	return err
}

// renew renews the lease again and again, until ctx ends. When the lease is lost, it ends
// ctx with that error.
func renew(ctx context.Context, end context.CancelCauseFunc, c *config, client *cluster.Client, every time.Duration) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		once, cancel := context.WithTimeout(ctx, every)
		_, err := client.RenewLease(once, release.LeaseName(c.Release), c.Run)
		cancel()
		switch {
		case errors.Is(err, cluster.ErrLeaseLost):
			end(err)
			return
		case err != nil && ctx.Err() == nil:
			slog.WarnContext(ctx, "the lease was not renewed; trying again", "run", c.Run, "error", err)
		}
	}
}
