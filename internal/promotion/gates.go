package promotion

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// upstream is what is known of an environment that others are after.
type upstream struct {
	records []environment.Record
	// name is the one by which its records know an application; "": its branch
	// does not have it, or cannot be read.
	name func(Promotion) string
	now  time.Time // by its server
	err  error
}

// decide asks the environment's gates, with the records of those it is after
// and a server's time.
func (e *Everywhere) decide(ctx context.Context, env environment.Environment, t Target, p Promotion) (environment.Decision, error) {
	known := map[string]environment.Upstream{}
	var now time.Time
	for _, name := range env.After {
		up := e.read[name]()
		if up.err != nil {
			return environment.Decision{}, fmt.Errorf("read the deployment records of %s: %w", name, up.err)
		}
		known[name], now = environment.Upstream{Application: up.nameOf(p), Records: up.records}, up.now
	}
	if len(env.After) == 0 && len(env.Windows) > 0 {
		// Nothing else has been asked yet, so nothing has told the time.
		if _, err := t.Remote.Tip(ctx, t.Branch); err != nil {
			return environment.Decision{}, err
		}
		now = told(ctx, t.Remote)
	}
	return env.Decide(environment.Promotion{Application: p.there(), Version: p.Version}, known, now), nil
}

// upstream reads what another environment has deployed.
func (e *Everywhere) upstream(ctx context.Context, env environment.Environment) upstream {
	remote, err := e.Open(env.Repository)
	if err != nil {
		return upstream{err: err}
	}
	notes, err := remote.AllNotes(ctx)
	if err != nil {
		return upstream{err: err}
	}
	up := upstream{now: told(ctx, remote)}
	fetch := sync.OnceValues(func() (draft, error) { return TargetOf(env, remote).fetch(ctx) })
	up.name = func(p Promotion) string {
		d, err := fetch()
		if err != nil {
			return "" // its records have been read: they decide
		}
		k, _ := d.know(p)
		return k.name
	}
	up.records = RecordsOf(ctx, env, notes)
	return up
}

// RecordsOf reads an environment's deployment records from the notes of its
// repository, of which several may share one. One warning counts the lines that
// cannot be read: another tool's notes may have hundreds.
func RecordsOf(ctx context.Context, env environment.Environment, notes map[git.Hash]string) []environment.Record {
	var records []environment.Record
	var unread []error
	for commit, note := range notes {
		found, warnings := environment.ParseRecords(string(commit), note, env.RecordKey...)
		unread = append(unread, warnings...)
		for _, r := range found {
			if r.Environment == env.Name {
				records = append(records, r)
			}
		}
	}
	if len(unread) > 0 {
		slog.WarnContext(ctx, "deployment records cannot be read", "environment", env.Name, "lines", len(unread), "first", unread[0])
	}
	return records
}

// nameOf is the application's name in the environment's records: its alias
// there, which whoever promotes a chart by its own name need not know.
func (up upstream) nameOf(p Promotion) string {
	if p.Chart.Alias == "" && len(up.records) > 0 {
		return cmp.Or(up.name(p), p.there())
	}
	return p.there()
}

// told is the server's time; a clock that differs is worth a word.
func told(ctx context.Context, remote *git.Remote) time.Time {
	now, ahead := remote.Now()
	if ahead != 0 {
		slog.WarnContext(ctx, "the server's clock differs from this machine's; gates go by the server's", "server", remote.URL(), "ahead", ahead.Round(time.Second))
	}
	return now
}
