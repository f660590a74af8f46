package release

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	helm "helm.sh/helm/v3/pkg/release"
)

// Recover ends what a dead deployment left behind: a revision that is pending
// is marked failed, so that the next deployment goes on from it. A revision of
// our own is dead for sure, since the caller holds the lease. One that somebody
// made with helm gets until wait to come to its end.
func (r *Release) Recover(ctx context.Context, wait time.Duration) error {
	last, err := r.Last()
	if err != nil || last == nil || !last.record.Info.Status.IsPending() {
		return err
	}
	if !isOurs(last.record) {
		slog.InfoContext(ctx, "another helm command is at work on this release: waiting", "release", r.name,
			"revision", last.Number, "status", last.Status, "at-most", wait)
		if last, err = r.awaitEnd(ctx, wait); err != nil || last == nil {
			return err
		}
	}
	slog.WarnContext(ctx, "marked a revision failed that was left pending", "release", r.name,
		"revision", last.Number, "status", last.Status)
	last.record.SetStatus(helm.StatusFailed, "Interrupted while "+last.Status)
	if err := r.config.Releases.Update(last.record); err != nil {
		return fmt.Errorf("mark revision %d of release %s failed: %w", last.Number, r.name, err)
	}
	return nil
}

// awaitEnd waits while the newest revision is pending. It returns that
// revision when it still is after wait, nil when it is not any more.
func (r *Release) awaitEnd(ctx context.Context, wait time.Duration) (*Revision, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	changed, err := r.client.SecretChanges(waiting)
	if err != nil {
		return nil, fmt.Errorf("watch release %s: %w", r.name, err)
	}
	for {
		last, err := r.Last()
		if err != nil || last == nil || !last.record.Info.Status.IsPending() {
			return nil, err
		}
		select {
		case <-changed:
		case <-waiting.Done():
			return last, context.Cause(ctx)
		}
	}
}
