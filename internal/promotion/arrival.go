package promotion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"sync"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// Arrived waits until what the results say was promoted is deployed and verified,
// each in its environment, by the deployment records alone: so it can be stopped
// and asked for again, also from elsewhere, and needs no cluster. The outcome is
// Verified then.
//
// A deployment that failed or was not verified is an Unverified fault, and so is
// another version that is there, Superseded. What did not get as far as the branch
// is a Retryable one, NotPromoted; and ctx's end one, NotDeployed.
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
	case Superseded:
		return r.superseded("a higher one")
	case Waiting, Opened:
		return r.failed(fault.Retryable("NotPromoted", fmt.Errorf("%s %s is %s: nothing of it is deployed: %s", r.Application, r.Version, r.Outcome, r.Reason+r.URL), ""))
	default:
		return r
	}
	env, err := e.Known.Find(r.Environment)
	if err != nil {
		return r.failed(err)
	}
	if err := OnRecord(env); err != nil {
		return r.failed(err)
	}
	remote, err := e.Open(env.Repository)
	if err != nil {
		return r.failed(err)
	}
	a := &arrival{env: env, target: TargetOf(env, remote), result: r}
	return a.await(ctx)
}

// takesOut reports whether it is about an application that shall be gone, or is.
func (r Result) takesOut() bool { return r.Application != "" && r.Version == "" }

// OnRecord is a Refused fault NothingOnRecord where another tool deploys, so that
// there is nothing to wait for.
func OnRecord(chosen ...environment.Environment) error {
	for _, env := range chosen {
		if env.File != "" {
			return fault.Refused("NothingOnRecord", fmt.Errorf("wait for %s: another tool deploys it, so nothing is on record", env.Name), "Promote there without --wait.")
		}
	}
	return nil
}

// superseded is one in whose place another version is there.
func (r Result) superseded(by string) Result {
	err := fmt.Errorf("%s has %s of %s in the place of %s", r.Environment, by, r.Application, r.Version)
	if r.takesOut() {
		err = fmt.Errorf("%s still has %s of %s", r.Environment, by, r.Application)
	}
	r = r.failed(fault.Unverified("Superseded", err, ""))
	r.Outcome = Superseded
	return r
}

// arrival is one result on its way.
type arrival struct {
	env    environment.Environment
	target Target
	result Result

	name  string // of the application in records, once it is known
	there bool   // the branch has it
	notes git.Hash
	tip   git.Hash
	since []git.Hash // the commits after it, newest first, and itself
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
		if err := retry.Sleep(ctx, pause/2+rand.N(pause)); err != nil {
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
// calls the application. Where a forge did not tell what it merged, it is the tip.
func (a *arrival) learn(ctx context.Context, tip git.Ref) error {
	if _, ok := git.ParseHash(string(a.result.Commit)); !ok {
		a.result.Commit = tip.Hash
	}
	if tip.Hash == a.tip {
		return nil
	}
	a.since = nil
	commits, err := a.target.Remote.Since(ctx, a.result.Commit, tip.Hash, mostCommits)
	if err != nil {
		return err
	}
	for _, c := range commits {
		a.since = append(a.since, c.Hash)
	}
	a.since = append(a.since, a.result.Commit)
	if a.name = a.result.Application; a.result.chart == (edit.Selector{}) {
		a.there = a.name != "" && !a.result.takesOut()
		return nil
	}
	d, err := a.target.fetch(ctx)
	if err != nil {
		return err
	}
	k, err := d.know(Promotion{Application: a.name, Chart: a.result.chart})
	if a.there = err == nil && !a.result.takesOut(); a.there {
		a.name = k.name
	}
	if errors.Is(err, edit.ErrNotFound) {
		return nil
	}
	return err
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
	history := make([]string, len(a.since))
	for i, commit := range a.since {
		history[i] = string(commit)
	}
	last, ok := environment.Last(records, a.env.Name, history)
	if !ok {
		slog.InfoContext(ctx, "no deployment is on record yet", "environment", a.env.Name, "commit", a.result.Commit.Short())
		return Result{}
	}
	became := fmt.Errorf("the deployment of %.12s in %s is %s, run %s: %s", last.Commit, a.env.Name, last.State, brief(last.Run), brief(cmp.Or(last.Reason, "no reason is on record")))
	const look = "The run's log says more: kubectl, tkn or lockstep runs logs show it."
	r := a.result
	switch {
	case a.replaced(last):
		return r.superseded(brief(cmp.Or(last.Version(a.name), "none")))
	case last.State == environment.Failed:
		return r.failed(fault.Unverified(reasonOf(last, "DeploymentFailed"), became, look))
	case last.State != environment.Verified:
		return r.failed(fault.Unverified(reasonOf(last, "NotVerified"), became, look))
	}
	r.Outcome, r.Commit, r.Reason = Verified, git.Hash(last.Commit), ""
	return r
}

// replaced reports whether another version was deployed. A deployment that failed
// early has none on record, and neither has an application that the chart switches
// off.
func (a *arrival) replaced(last environment.Record) bool {
	version := last.Version(a.name)
	switch {
	case a.name == "" || last.Revision == 0:
		return false
	case a.result.takesOut():
		return version != ""
	case version == "":
		return !a.there
	}
	return version != a.result.Version
}

// camelCase is the form of a record's reason.
var camelCase = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,63}$`)

func reasonOf(r environment.Record, otherwise string) string {
	if camelCase.MatchString(r.Reason) {
		return r.Reason
	}
	return otherwise
}
