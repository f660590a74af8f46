package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/lockstep-cd/lockstep/internal/application"
	"github.com/lockstep-cd/lockstep/internal/document"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/provision"
)

// Applications lets pushes to the applications' repositories start their pipelines, and
// takes away what is there for applications that are not in the list any more: nothing
// that is lost with a Trigger cannot be made again, so that this asks for no commit
// that says so. Runs that are under way go on.
func (r *Reconciler) Applications(ctx context.Context, all *application.Applications) []Result {
	known, err := r.Site.KnownApplications(ctx)
	if err != nil {
		return []Result{(Result{}).failed(err)}
	}
	groups, heard := grouped(all.Applications)
	results := slices.Concat(each(groups, func(group []application.Application) []Result {
		var results []Result
		for _, a := range group {
			results = append(results, r.application(ctx, a, known[a.Name], heard))
		}
		return results
	})...)
	for _, a := range all.Applications {
		delete(known, a.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		results = append(results, r.removed(ctx, name, known[name], heard)...)
	}
	return results
}

// grouped puts those of one repository together: they share its webhook, and so go one
// after the other. heard are the repositories, by document.SameRepository.
func grouped(all []application.Application) (groups [][]application.Application, heard map[string]bool) {
	index, heard := map[string]int{}, map[string]bool{}
	for _, a := range all {
		at := document.SameRepository(a.Repository)
		if !heard[at] {
			heard[at], index[at] = true, len(groups)
			groups = append(groups, nil)
		}
		groups[index[at]] = append(groups[index[at]], a)
	}
	return groups, heard
}

// applicationTime bounds the look at one application: a host that does not answer keeps
// the others waiting no longer.
const applicationTime = time.Minute

// application makes one what it should be. Where it was in another repository before,
// nothing of it stays there.
func (r *Reconciler) application(ctx context.Context, a application.Application, before string, heard map[string]bool) Result {
	result := Result{Application: a.Name, DryRun: r.Site.DryRun, Outcome: Unchanged}
	ctx, cancel := context.WithTimeout(ctx, applicationTime)
	defer cancel()
	source, err := r.source(ctx, a)
	if err == nil && before != "" && document.SameRepository(before) != document.SameRepository(a.Repository) {
		var errBefore error
		if result.Changed, errBefore = r.Site.RemoveApplication(ctx, a.Name, r.forgotten(before, heard)); errBefore != nil {
			slog.WarnContext(ctx, "its webhook stays where it was before", "application", a.Name, "repository", before, "reason", errBefore)
		}
	}
	if err == nil {
		var changed []string
		changed, err = r.Site.EnsureApplication(ctx, source)
		result.Commit, result.Changed = source.Tip.Hash, append(result.Changed, changed...)
	}
	switch {
	case err != nil:
		result = result.failed(err)
	case len(result.Changed) > 0:
		result.Outcome = Created
	}
	log(ctx, result)
	return result
}

// source asks for the branch only where the list does not say it: its commits are
// nothing that is looked at here.
func (r *Reconciler) source(ctx context.Context, a application.Application) (provision.Source, error) {
	remote, err := r.Open(a.Repository)
	if err != nil || a.Branch != "" {
		return provision.Source{Application: a, Remote: remote, Tip: git.Ref{Name: "refs/heads/" + a.Branch}}, err
	}
	tip, err := remote.Tip(ctx, "")
	if errors.Is(err, git.ErrEmptyRepository) {
		tip, err = git.Ref{Name: "refs/heads/main"}, nil
	}
	return provision.Source{Application: a, Remote: remote, Tip: tip}, err
}

// forgotten is a repository that shall not be heard any more, nil where others still are
// in it.
func (r *Reconciler) forgotten(repository string, heard map[string]bool) *git.Remote {
	if heard[document.SameRepository(repository)] {
		return nil
	}
	return r.remote(repository)
}

// removed takes an application away.
func (r *Reconciler) removed(ctx context.Context, name, repository string, heard map[string]bool) []Result {
	result := Result{Application: name, DryRun: r.Site.DryRun, Outcome: Deleted}
	changed, err := r.Site.RemoveApplication(ctx, name, r.forgotten(repository, heard))
	if err == nil && len(changed) == 0 {
		return nil // somebody was faster
	}
	result.Changed = changed
	if err != nil {
		result = result.failed(err)
	}
	log(ctx, result)
	return []Result{result}
}
