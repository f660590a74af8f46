package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/release"
)

// choose decides which commit to deploy and brings the workspace to it. It is
// called under the lease: what the branch's tip is now counts, not what some
// webhook once said.
func (d *deployment) choose(ctx context.Context, rel *release.Release) (commit git.Hash, superseded bool, err error) {
	deployed, err := rel.Deployed()
	if err != nil {
		return "", false, err
	}
	if d.config.URL != "" {
		commit, err = d.checkOutTip(ctx)
		if err != nil {
			return commit, false, err
		}
		return commit, false, d.warnOfReset(ctx, rel, commit, deployed)
	}
	repository, err := git.Open(d.config.Source)
	if errors.Is(err, git.ErrNotFound) {
		return "", false, d.plainFolder() // there is no order to keep
	}
	if err != nil {
		return "", false, err
	}
	if _, commit, err = repository.Head(); err != nil {
		return "", false, fmt.Errorf("read HEAD of %s: %w", d.config.Source, err)
	}
	if err := repository.Check(commit, d.signers); err != nil {
		return commit, false, err
	}
	superseded, err = d.isSuperseded(ctx, repository, commit, deployed)
	return commit, superseded, err
}

// plainFolder refuses a folder that Git says nothing of where signatures are
// asked for.
func (d *deployment) plainFolder() error {
	if d.signers == nil {
		return nil
	}
	return fault.Refused("SignatureNotVerified", fmt.Errorf("%s is no Git checkout, so nobody signed it", d.config.Source), "Give url and branch, or a checkout.")
}

// checkOutTip brings the workspace to the branch's tip.
func (d *deployment) checkOutTip(ctx context.Context) (git.Hash, error) {
	remote, err := git.NewRemote(d.config.URL, d.config.Access(0))
	if err != nil {
		return "", err
	}
	repository, err := git.Open(d.config.Source)
	if errors.Is(err, git.ErrNotFound) {
		repository, err = git.Clone(ctx, remote, git.CloneOptions{Dir: d.config.Source, Revision: git.BranchRef(d.config.Branch), Depth: 1, Signers: d.signers})
		if err != nil {
			return "", err
		}
		_, commit, err := repository.Head()
		return commit, err
	}
	if err != nil {
		return "", err
	}
	tip, err := remote.Tip(ctx, git.BranchRef(d.config.Branch))
	if err != nil {
		return "", err
	}
	_, head, err := repository.Head()
	if err == nil && head == tip.Commit() {
		return head, repository.Check(head, d.signers)
	}
	if err := remote.Fetch(ctx, repository, tip, 1); err != nil {
		return "", err
	}
	if err := repository.Check(tip.Commit(), d.signers); err != nil {
		return tip.Commit(), err
	}
	if err := repository.Reset(tip.Branch(), tip.Commit()); err != nil {
		return "", err
	}
	slog.InfoContext(ctx, "brought the workspace to the branch's tip", "branch", tip.Branch(), "commit", tip.Commit())
	return tip.Commit(), nil
}

// warnOfReset says so when the tip is older than what runs: somebody reset the
// branch. It is deployed all the same, because Git says so.
func (d *deployment) warnOfReset(ctx context.Context, rel *release.Release, tip git.Hash, deployed *release.Revision) error {
	if deployed == nil || deployed.Commit == "" || deployed.Commit == string(tip) {
		return nil
	}
	older, err := d.isOlder(rel, tip, deployed)
	if err != nil {
		return err
	}
	if older {
		slog.WarnContext(ctx, "the branch was reset to an earlier commit: deploying that", "commit", tip, "deployed-before", deployed.Commit)
	}
	return nil
}

// isOlder asks Git, as far as the workspace's history reaches, and then the
// release's own history: a commit that was deployed before came before.
func (d *deployment) isOlder(rel *release.Release, tip git.Hash, deployed *release.Revision) (bool, error) {
	if repository, err := git.Open(d.config.Source); err == nil {
		answer, err := repository.Ancestor(tip, git.Hash(deployed.Commit))
		if err == nil && answer != git.Unknown {
			return answer == git.Yes, nil
		}
	}
	history, err := rel.History()
	if err != nil {
		return false, err
	}
	for _, revision := range history {
		if revision.Number < deployed.Number && revision.Commit == string(tip) {
			return true, nil
		}
	}
	return false, nil
}

// isSuperseded reports whether the workspace's commit is older than what runs,
// and refuses to guess when its history does not reach far enough to know.
func (d *deployment) isSuperseded(ctx context.Context, repository *git.Repository, commit git.Hash, deployed *release.Revision) (bool, error) {
	if deployed == nil || deployed.Commit == "" || deployed.Commit == string(commit) {
		return false, nil
	}
	running := git.Hash(deployed.Commit)
	newer, err := repository.Ancestor(running, commit)
	if err == nil && newer == git.Yes {
		return false, nil
	}
	older, err2 := repository.Ancestor(commit, running)
	if err := errors.Join(err, err2); err != nil && !errors.Is(err, git.ErrNotFound) {
		return false, fmt.Errorf("compare commit %s with the deployed %s: %w", commit.Short(), running.Short(), err)
	}
	switch older {
	case git.Yes:
		d.config.Outcome = "superseded"
		slog.InfoContext(ctx, "nothing to do: a newer commit is deployed", "commit", commit, "deployed", deployed.Commit, "revision", deployed.Number)
		return true, nil
	case git.No:
		return false, nil
	default:
		return false, fault.Refused("HistoryTooShort",
			fmt.Errorf("the workspace's history does not tell whether commit %s is newer than the deployed %s", commit.Short(), running.Short()),
			"clone with depth 0, or give url and branch so that the branch's tip decides")
	}
}
