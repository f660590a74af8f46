package promotion

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// LastVerified is what RollBack goes back to where nothing else is said: what the
// environment verified last that differs from what its branch has.
const LastVerified = "last-verified"

// RollBack makes one commit that brings back, in one environment, an earlier
// version of the Promotion's application or, without one, every file as it was at
// an earlier commit. to is a version, a commit (at least 7 digits) or
// LastVerified. The Promotion's Hold comes with it, for each application whose
// version changes; it is left out when it is the zero value. No gate is asked.
//
// Where there is nothing to go back to, that is a Refused fault
// NothingToRollBackTo. A to that is none of these is a Usage fault.
func (e Everywhere) RollBack(ctx context.Context, env environment.Environment, to string) ([]Result, error) {
	to = cmp.Or(to, LastVerified)
	switch version := edit.CheckVersion(to) == nil && !isCommit(to); {
	case version && e.Application == "":
		return nil, fault.Usage("InvalidArguments", fmt.Errorf("%s is a version: of which application?", to), "")
	case !version && !isCommit(to) && to != LastVerified:
		return nil, fault.Usage("InvalidArguments", fmt.Errorf("%.80q is neither a version, nor a commit, nor %s", to, LastVerified), "Of a commit, give at least 7 digits.")
	}
	return e.each(ctx, []environment.Environment{env}, func(ctx context.Context, env environment.Environment, t Target) []Result {
		b := back{Everywhere: &e, env: env, to: to}
		var err error
		if b.draft, err = t.fetch(ctx); err != nil {
			return []Result{e.result(env.Name).failed(err)}
		}
		if e.Application == "" {
			return b.everything(ctx)
		}
		return []Result{b.application(ctx, b.draft.named(e.Promotion))}
	}), nil
}

// isCommit reports whether a text names a commit, by at least seven digits. A
// version has dots.
func isCommit(text string) bool {
	return len(text) >= 7 && len(text) <= len(git.Zero) && strings.Trim(text, "0123456789abcdefABCDEF") == ""
}

// RollBackFailed makes one commit that brings back, in an environment that asks for it
// (its Rollback is Auto), all files as they were verified last, where the branch's tip
// was never verified and its deployment is on record as unhealthy. The versions that go
// are rejected, so that no automatic promotion brings them again; others may come. Where
// the branch has moved on, that commit's deployment decides. Where there is nothing to be
// done, or nothing to go back to that somebody has not decided otherwise, there are no
// results.
func (e Everywhere) RollBackFailed(ctx context.Context, env environment.Environment) ([]Result, error) {
	if env.Rollback != environment.Auto {
		return nil, nil
	}
	e.prepare(ctx)
	up := e.read[env.Name]()
	if up.err != nil {
		return nil, fmt.Errorf("read the deployment records of %s: %w", env.Name, up.err)
	}
	last, ok := environment.Last(up.records, env.Name)
	if !ok || !last.Unhealthy || slices.ContainsFunc(up.records, func(r environment.Record) bool {
		return r.Commit == last.Commit && r.State == environment.Verified // what it needs is gone, not what it is
	}) {
		return nil, nil
	}
	e.Hold = NewHold(strings.TrimSpace("its deployment failed: "+last.Reason+" in run "+last.Run), e.Author)
	return e.each(ctx, []environment.Environment{env}, func(ctx context.Context, env environment.Environment, t Target) []Result {
		b := back{Everywhere: &e, env: env, to: LastVerified, reject: true}
		var err error
		if b.draft, err = t.fetch(ctx); err != nil {
			return []Result{e.result(env.Name).failed(err)}
		}
		if string(b.draft.tip.Hash) != last.Commit {
			return nil
		}
		results := b.everything(ctx)
		if err := results[0].Err; err != nil && fault.Of(err).Reason == nothingToRollBackTo {
			slog.WarnContext(ctx, "it stays as it is", "environment", env.Name, "reason", err)
			return nil
		}
		return results
	}), nil
}

// back is one rollback.
type back struct {
	*Everywhere
	env    environment.Environment
	draft  draft
	to     string
	reject bool // what goes, in the place of holding what comes; and only from this tip
}

// application sets the earlier version, as whoever asks for it by name would.
func (b *back) application(ctx context.Context, p Promotion) Result {
	r := p.result(b.env.Name)
	i, err := b.draft.begin(p)
	if err != nil {
		return r.failed(err)
	}
	k, err := b.draft.know(p)
	if err != nil {
		return r.failed(err)
	}
	p.Exact, p.ByName, p.back = true, true, true
	if p.Version, err = b.version(ctx, k, i); err != nil {
		return r.failed(err)
	}
	r.Version = p.Version
	if b.DryRun {
		return b.landOn(ctx, b.draft, p, r)
	}
	return b.bring(ctx, p)
}

// bring delivers it, again where another promotion of the application was faster:
// that one is to be undone as well.
func (b *back) bring(ctx context.Context, p Promotion) Result {
	const most = 10
	for attempt := 1; ; attempt++ {
		r := b.deliver(ctx, b.env, b.draft.target, p)
		if r.Outcome != Superseded {
			return r
		}
		if attempt == most {
			return r.failed(contention(b.draft.tip.Name, b.draft.target.Remote, attempt, b.Patience))
		}
	}
}

// version finds the one to go back to.
func (b *back) version(ctx context.Context, k known, i Intent) (string, error) {
	switch {
	case b.to == LastVerified:
		return b.lastVersion(ctx, k, i)
	case !isCommit(b.to):
		return b.to, nil
	}
	commit, err := b.commit(ctx)
	if err != nil {
		return "", err
	}
	find, err := draft{b.draft.target, b.draft.repository, git.Ref{Hash: commit}}.finder()
	if err != nil {
		return "", err
	}
	_, version, err := find(k.name)
	if err != nil {
		return "", fault.Refused("ApplicationNotFound", fmt.Errorf("find %s at %s: %w", k.name, commit.Short(), err),
			"Where it was not there yet, take it out: lockstep remove application "+k.name+" --env "+b.env.Name)
	}
	return version, nil
}

// lastVersion is the one that was verified last, of those that are not rejected. An
// application that was rolled back, and not promoted since, is where it should be:
// asked for once more, it must not go forward again.
func (b *back) lastVersion(ctx context.Context, k known, i Intent) (string, error) {
	if _, err := b.history(ctx); err != nil {
		return "", err
	}
	done, err := b.rolledBack(func(e Entered) bool {
		return slices.ContainsFunc(e.Changes, func(c Changed) bool { return k.goesBy(c.Application) })
	})
	if err != nil || done {
		return i.From, err
	}
	records, err := b.records()
	if err != nil {
		return "", err
	}
	h, _, err := holdsAt(b.draft.tree(), i.File)
	if err != nil {
		return "", err
	}
	for _, record := range records {
		version := record.Version(k.name)
		if version != "" && version != i.From && h.index(Hold{Application: k.name, Version: version}) < 0 {
			return version, nil
		}
	}
	return "", b.nothing("no other version of " + k.name + " is on record as verified")
}

// rolledBack reports whether the newest commit that is meant is a rollback.
func (b *back) rolledBack(meant func(Entered) bool) (done bool, err error) {
	err = b.draft.repository.Log(b.draft.tip.Hash, func(c git.CommitInfo) bool {
		e := entered(c, b.env.Name)
		if !meant(e) {
			return true
		}
		done = e.Operation == operationRollback
		return false
	})
	return done, err
}

func (b *back) records() ([]environment.Record, error) {
	up := b.read[b.env.Name]()
	if up.err != nil {
		return nil, fmt.Errorf("read the deployment records of %s: %w", b.env.Name, up.err)
	}
	return environment.StillVerified(up.records, b.env.Name), nil
}

const nothingToRollBackTo = "NothingToRollBackTo"

func (b *back) nothing(why string) error {
	return fault.Refused(nothingToRollBackTo, fmt.Errorf("roll %s back: %s", b.env.Name, why),
		"Say which: --to VERSION or --to COMMIT. git log --notes=lockstep in the environment's repository shows what there was.")
}

// commit finds the one that was named among those of the branch, so that nothing
// comes in that was never on it.
func (b *back) commit(ctx context.Context) (git.Hash, error) {
	commits, err := b.history(ctx)
	if err != nil {
		return "", err
	}
	var found []git.Hash
	for _, c := range commits {
		if strings.HasPrefix(string(c), strings.ToLower(b.to)) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return "", b.nothing(fmt.Sprintf("%s is not among the last %d commits of its branch", b.to, len(commits)))
	case 1:
		return found[0], nil
	}
	return "", fault.Usage("InvalidArguments", fmt.Errorf("%s begins the names of %d commits", b.to, len(found)), "Give more digits.")
}

// history fetches the branch's last commits with their files, newest first.
func (b *back) history(ctx context.Context) (commits []git.Hash, err error) {
	if err := b.draft.target.Remote.Fetch(ctx, b.draft.repository, b.draft.tip, mostCommits); err != nil {
		return nil, err
	}
	err = b.draft.repository.Log(b.draft.tip.Hash, func(c git.CommitInfo) bool {
		commits = append(commits, c.Hash)
		return len(commits) < mostCommits
	})
	return commits, err
}

// everything brings the files of a commit back.
func (b *back) everything(ctx context.Context) []Result {
	whole := Result{Environment: b.env.Name}
	commit, err := b.earlier(ctx)
	if err != nil {
		return []Result{whole.failed(err)}
	}
	work := &restoration{target: b.draft.target, tip: b.draft.tip.Hash, commit: commit, hold: b.Hold, reject: b.reject}
	m := Message{
		Text:     fmt.Sprintf("chore: roll %s back to %s", b.env.Name, commit.Short()),
		Trailers: append(b.trailers(b.draft.target), operationTrailer+operationRollback, "Lockstep-Restores: "+string(commit)),
	}
	if why := brief(b.Hold.Reason); why != "" {
		m.Text += "\n\n" + why
	}
	landed, err := b.draft.land(ctx, b.Everywhere, m, work)
	if err != nil {
		return []Result{whole.failed(err)}
	}
	var results []Result
	for _, a := range landed.Applied {
		if a.Intent.Mark == "" {
			r := Result{Environment: b.env.Name, Application: a.Intent.Application(), Version: a.Intent.To, Outcome: RolledBack}
			if a.Intent.Kind == Removal {
				r.Outcome = Removed
			}
			results = append(results, r)
		}
	}
	if len(results) == 0 {
		whole.Outcome = Unchanged
		if landed.Outcome == Promoted {
			whole.Outcome = RolledBack
		}
		results = []Result{whole}
	}
	for i := range results {
		results[i].Commit, results[i].DryRun = landed.Commit, b.DryRun
	}
	results[0].Diff = landed.diff // it is one commit
	return results
}

// earlier is the commit to go back to as a whole.
func (b *back) earlier(ctx context.Context) (git.Hash, error) {
	switch {
	case b.env.Delivery == environment.ByPullRequest && !b.DryRun:
		return "", fault.Refused("RollbackByPullRequest", fmt.Errorf("roll %s back as a whole: it takes pull requests, one for each application", b.env.Name),
			"Roll its applications back by name; or revert by a pull request of your own.")
	case b.to != LastVerified:
		return b.commit(ctx)
	}
	records, err := b.records()
	if err != nil {
		return "", err
	}
	commits, err := b.history(ctx)
	if err != nil {
		return "", err
	}
	if done, err := b.rolledBack(func(e Entered) bool { return e.Commit != "" && !isMark(e.Operation) }); err != nil || done {
		return b.draft.tip.Hash, err
	}
	for _, record := range records {
		commit := git.Hash(record.Commit)
		if !slices.Contains(commits, commit) {
			continue
		}
		files, err := difference(b.draft.repository, b.draft.target, b.draft.tip.Hash, commit)
		if err != nil || len(files) > 0 {
			return commit, err
		}
		if b.reject {
			break // this was verified as it is
		}
	}
	return "", b.nothing("no other state of its branch is on record as verified")
}

// difference is what brings the files of a commit back onto a tip, but for the holds.
func difference(r *git.Repository, t Target, tip, commit git.Hash) ([]git.File, error) {
	return r.Difference(tip, commit, func(file string) bool {
		return (t.Path == "." || strings.HasPrefix(file, t.Path+"/")) && !strings.HasSuffix("/"+file, "/"+holdsFile)
	})
}

// restoration is Work that makes a target what it was at a commit, and holds what
// changes its version by that.
type restoration struct {
	target      Target
	tip, commit git.Hash
	hold        Hold // the zero value: nothing is held
	reject      bool // hold the versions that go, and leave another tip as it is
}

func (w *restoration) start() git.Hash { return w.tip }

func (w *restoration) replay(ctx context.Context, r *git.Repository, tip git.Hash) ([]Applied, []git.File, error) {
	if w.reject && tip != w.tip {
		return nil, nil, nil
	}
	files, err := difference(r, w.target, tip, w.commit)
	if err != nil {
		return nil, nil, err
	}
	changed, err := w.changed(r, tip)
	if err != nil {
		return nil, nil, err
	}
	if w.reject {
		if err := w.checkFree(r, tip, changed); err != nil {
			return nil, nil, err
		}
	}
	applied := make([]Applied, len(changed))
	var marks []Intent
	for i, change := range changed {
		applied[i] = Applied{Intent: change, Outcome: Promoted}
		if mark, ok := w.mark(change); ok {
			marks = append(marks, mark)
		}
	}
	held, err := applyAll(ctx, CommitTree(r, tip), nil, marks)
	return applied, append(files, filesOf(held)...), err
}

// checkFree is a Refused fault nothingToRollBackTo where a person has decided about what
// would change: by a hold, or by rejecting what would come back.
func (w *restoration) checkFree(r *git.Repository, tip git.Hash, changed []Intent) error {
	h, file, err := holdsAt(CommitTree(r, tip), path.Join(w.target.Path, cmp.Or(w.target.File, chartFile)))
	if err != nil {
		return err
	}
	for _, one := range h.Holds {
		for _, change := range changed {
			if (one.Application == "" || one.Application == change.Alias) && (one.Version == "" || one.Version == change.To) {
				return fault.Refused(nothingToRollBackTo, fmt.Errorf("go back by itself: %s: %s", file, one.reason(change.Alias)), "Roll it back by hand: lockstep rollback.")
			}
		}
	}
	return nil
}

// mark is the hold that comes with a change; false where there is none. An application
// that was not there has no version to reject.
func (w *restoration) mark(change Intent) (Intent, bool) {
	mark := Intent{File: change.File, Kind: change.Kind, Mark: MarkHold, Hold: w.hold}
	mark.Hold.Application = change.Alias
	if w.reject {
		mark.Hold.Version = change.From
	}
	return mark, w.hold != (Hold{}) && (!w.reject || change.From != "")
}

// changed are the versions that come back, as intents that say so.
func (w *restoration) changed(r *git.Repository, tip git.Hash) ([]Intent, error) {
	now, err := draft{w.target, r, git.Ref{Hash: tip}}.versions(nil)
	if err != nil {
		return nil, err
	}
	then, err := draft{w.target, r, git.Ref{Hash: w.commit}}.versions(nil)
	if err != nil {
		return nil, err
	}
	names := maps.Clone(now)
	maps.Copy(names, then)
	var changed []Intent
	for _, name := range slices.Sorted(maps.Keys(names)) {
		i := Intent{File: path.Join(w.target.Path, cmp.Or(w.target.File, chartFile)), Kind: Dependency, Alias: name, From: now[name], To: then[name]}
		if i.To == "" {
			i.Kind = Removal
		}
		if i.From != i.To {
			changed = append(changed, i)
		}
	}
	return changed, nil
}

// Marked makes or takes back the Promotion's Hold in an environment. It is always a
// commit: a hold that waits for a review holds nothing.
func (e Everywhere) Marked(ctx context.Context, env environment.Environment) []Result {
	return e.each(ctx, []environment.Environment{env}, func(ctx context.Context, env environment.Environment, t Target) []Result {
		r := e.result(env.Name)
		r.Version = e.Hold.Version
		d, err := t.fetch(ctx)
		if err != nil {
			return []Result{r.failed(err)}
		}
		return []Result{e.landOn(ctx, d, d.named(e.Promotion), r)}
	})
}
