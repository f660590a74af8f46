package promotion

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// upstream is what is known of an environment that others are after.
type upstream struct {
	records []environment.Record
	now     time.Time // by its server
	err     error
}

// decide asks the environment's gates, with the records of those it is after
// and a server's time.
func (e Everywhere) decide(ctx context.Context, env environment.Environment, t Target) (environment.Decision, error) {
	// Records name an application by its alias.
	application := cmp.Or(e.Chart.Alias, e.Chart.Name)
	known := map[string]environment.Upstream{}
	var now time.Time
	for _, name := range env.After {
		up := e.read[name]()
		if up.err != nil {
			return environment.Decision{}, fmt.Errorf("read the deployment records of %s: %w", name, up.err)
		}
		known[name], now = environment.Upstream{Application: application, Records: up.records}, up.now
	}
	if len(env.After) == 0 && len(env.Windows) > 0 {
		// Nothing else has been asked yet, so nothing has told the time.
		if _, err := t.Remote.Tip(ctx, t.Branch); err != nil {
			return environment.Decision{}, err
		}
		now = told(ctx, t.Remote)
	}
	return env.Decide(environment.Promotion{Application: application, Version: e.Version}, known, now), nil
}

// upstream reads what another environment has deployed.
func (e Everywhere) upstream(ctx context.Context, name string) upstream {
	env, ok := e.Known.ByName(name)
	if !ok {
		return upstream{err: fault.Usage("UnknownEnvironment", fmt.Errorf("there is no environment %s", name), "")}
	}
	remote, err := e.Open(env.Repository)
	if err != nil {
		return upstream{err: err}
	}
	notes, err := remote.AllNotes(ctx)
	if err != nil {
		return upstream{err: err}
	}
	up := upstream{now: told(ctx, remote)}
	for commit, note := range notes {
		found, warnings := environment.ParseRecords(string(commit), note)
		for _, w := range warnings {
			slog.WarnContext(ctx, "a deployment record cannot be read", "environment", name, "error", w)
		}
		up.records = append(up.records, found...)
	}
	return up
}

// told is the server's time; a clock that differs is worth a word.
func told(ctx context.Context, remote *git.Remote) time.Time {
	now, ahead := remote.Now()
	if ahead != 0 {
		slog.WarnContext(ctx, "the server's clock differs from this machine's; gates go by the server's", "server", remote.URL(), "ahead", ahead.Round(time.Second))
	}
	return now
}
