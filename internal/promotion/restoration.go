package promotion

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

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
