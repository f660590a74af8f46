package promotion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Arrived waits until what the results say was promoted is deployed and verified,
// each in its environment, by the deployment records alone: so it can be stopped
// and asked for again, also from elsewhere, and needs no cluster. The outcome is
// Verified then, or Superseded where a later commit brought another version.
//
// A deployment that failed or was not verified is an Unverified fault; what did not
// get as far as the branch a Retryable one, NotPromoted; and ctx's end one,
// NotDeployed.
func (e Everywhere) Arrived(ctx context.Context, results []Result) []Result {
	arrived := make([]Result, len(results))
	var all sync.WaitGroup
	for i, r := range results {
		all.Go(func() {
			if arrived[i] = e.arrive(ctx, r); e.Tell != nil {
				e.Tell(arrived[i])
			}
		})
	}
	all.Wait()
	return arrived
}

func (e *Everywhere) arrive(ctx context.Context, r Result) Result {
	switch r.Outcome {
	case Promoted, Unchanged, RolledBack, Removed:
	case Waiting, Opened:
		return r.failed(fault.Retryable("NotPromoted", fmt.Errorf("%s %s is %s: nothing of it is deployed: %s", r.Application, r.Version, r.Outcome, r.Reason+r.URL), ""))
	default:
		return r
	}
	env, err := e.Known.Find(r.Environment)
	if err != nil {
		return r.failed(err)
	}
	if env.File != "" {
		return r.failed(fault.Refused("NothingOnRecord", fmt.Errorf("wait for %s: another tool deploys it, so nothing is on record", env.Name), "Promote there without --wait."))
	}
	remote, err := e.Open(env.Repository)
	if err != nil {
		return r.failed(err)
	}
	a := &arrival{env: env, target: TargetOf(env, remote), result: r}
	return a.await(ctx)
}

// arrival is one result on its way.
type arrival struct {
	env    environment.Environment
	target Target
	result Result

	name  string // of the application in records
	notes git.Hash
	tip   git.Hash
	since []git.Hash // the commit and those after it
}

// Bounds of the pauses between two looks at the records.
const (
	firstPause   = time.Second
	longestPause = 10 * time.Second
)

func (a *arrival) await(ctx context.Context) Result {
	start := time.Now()
	for pause := firstPause; ; pause = min(pause*5/4, longestPause) {
		r, err := a.look(ctx)
		switch {
		case ctx.Err() != nil:
			return a.late(ctx, start)
		case err != nil && fault.Of(err).Kind != fault.KindRetryable:
			return a.result.failed(err)
		case err != nil:
			slog.WarnContext(ctx, "the records cannot be read at the moment", "environment", a.env.Name, "error", err)
		case r.Outcome != "":
			return r
		}
		if err := sleep(ctx, pause/2+rand.N(pause)); err != nil {
			return a.late(ctx, start)
		}
	}
}

func (a *arrival) late(ctx context.Context, start time.Time) Result {
	err := fmt.Errorf("%s has no record of a deployment of %s after %s: %w", a.env.Name, a.result.Commit.Short(), time.Since(start).Round(time.Second), context.Cause(ctx))
	return a.result.failed(fault.Retryable("NotDeployed", err, "It goes on by itself. Ask again to go on waiting; lockstep get activity "+a.env.Name+" shows what happens."))
}

// look reads the records when there are others than the last time. A result without
// an outcome says that there is more to wait for.
func (a *arrival) look(ctx context.Context) (Result, error) {
	remote := a.target.Remote
	tip, err := remote.Tip(ctx, a.target.Branch)
	if err != nil {
		return Result{}, err
	}
	refs, err := remote.Refs(ctx, git.NotesRef)
	if err != nil {
		return Result{}, err
	}
	var notes git.Hash
	for _, ref := range refs {
		if ref.Name == git.NotesRef {
			notes = ref.Hash
		}
	}
	if notes == a.notes && tip.Hash == a.tip {
		return Result{}, nil
	}
	if err := a.learn(ctx, tip); err != nil {
		return Result{}, err
	}
	records, err := a.records(ctx)
	if err != nil {
		return Result{}, err
	}
	a.notes, a.tip = notes, tip.Hash
	return a.judge(ctx, records), nil
}

// learn finds out which commits have the change in them, and what the environment
// calls the application.
func (a *arrival) learn(ctx context.Context, tip git.Ref) error {
	if tip.Hash != a.tip {
		a.since = []git.Hash{a.result.Commit}
		if tip.Hash != a.result.Commit {
			commits, err := a.target.Remote.Since(ctx, a.result.Commit, tip.Hash, mostCommits)
			if err != nil {
				return err
			}
			for _, c := range commits {
				a.since = append(a.since, c.Hash)
			}
		}
	}
	if a.name != "" || a.result.Application == "" {
		return nil
	}
	d, err := a.target.fetch(ctx)
	if err != nil {
		return err
	}
	a.name = a.result.Application
	k, err := d.know(d.named(Promotion{Application: a.name, Chart: edit.Selector{Name: a.name}}))
	if err == nil {
		a.name = k.name
	} else if !errors.Is(err, edit.ErrNotFound) {
		return err
	}
	return nil
}

// records are those of the commits that have the change in them.
func (a *arrival) records(ctx context.Context) ([]environment.Record, error) {
	notes, err := a.target.Remote.ReadNotes(ctx, a.since...)
	if err != nil {
		return nil, err
	}
	return RecordsOf(ctx, a.env, notes), nil
}

// judge goes by the last record.
func (a *arrival) judge(ctx context.Context, records []environment.Record) Result {
	last, ok := environment.Last(records, a.env.Name)
	if !ok {
		slog.InfoContext(ctx, "no deployment is on record yet", "environment", a.env.Name, "commit", a.result.Commit.Short())
		return Result{}
	}
	r := a.result
	want := r.Version
	if r.Outcome == Removed {
		want = ""
	}
	became := fmt.Errorf("the deployment of %.12s in %s is %s, run %s: %s", last.Commit, a.env.Name, last.State, brief(last.Run), brief(cmp.Or(last.Reason, "no reason is on record")))
	const look = "The run's log says more: kubectl, tkn or lockstep runs logs show it."
	switch {
	case last.State == environment.Failed:
		return r.failed(fault.Unverified(reasonOf(last, "DeploymentFailed"), became, look))
	case a.name != "" && last.Version(a.name) != want:
		r.Outcome, r.Reason = Superseded, strings.TrimSpace(fmt.Sprintf("%s has %s", a.env.Name, brief(cmp.Or(last.Version(a.name), "none"))))
		return r
	case last.State != environment.Verified:
		return r.failed(fault.Unverified(reasonOf(last, "NotVerified"), became, look))
	}
	r.Outcome, r.Commit, r.Reason = Verified, git.Hash(last.Commit), ""
	return r
}

// camelCase is the form of a record's reason.
var camelCase = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,63}$`)

func reasonOf(r environment.Record, otherwise string) string {
	if camelCase.MatchString(r.Reason) {
		return r.Reason
	}
	return otherwise
}
