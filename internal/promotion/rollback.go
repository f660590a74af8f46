package promotion

import (
	"cmp"
	"context"
	"fmt"
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
