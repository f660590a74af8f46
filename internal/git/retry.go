package git

import (
	"context"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git/wire"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

const defaultPatience = time.Minute

// try runs an operation again while the server is busy or out of reach, for
// Access.RetryFor.
func (r *Remote) try(ctx context.Context, operation func(context.Context) error) error {
	policy := retry.Policy{For: r.patience(), Of: r.URL(), Hide: r.keys.redact}
	return policy.Do(ctx, wire.Transient, operation)
}

func (r *Remote) patience() time.Duration {
	if r.access.RetryFor <= 0 {
		return defaultPatience
	}
	return r.access.RetryFor
}
