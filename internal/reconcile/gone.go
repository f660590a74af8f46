package reconcile

import (
	"context"
	"maps"
	"slices"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Gone takes away what has namespaces by this environments.yaml and is not in it any
// more. That alone is no reason to destroy anything: somebody may have emptied the
// file. There must be a commit that says so, in the repository that has it.
func (r *Reconciler) Gone(ctx context.Context, in *git.Remote, revision string) []Result {
	known, err := r.Site.Known(ctx)
	if err != nil {
		return []Result{(Result{}).failed(err)}
	}
	for _, e := range r.Known.Environments {
		delete(known, e.Name)
	}
	if len(known) == 0 {
		return nil
	}
	deleted, err := catalog.Deletions(ctx, in, revision)
	if err != nil {
		return []Result{(Result{}).failed(err)}
	}
	var results []Result
	for _, name := range slices.Sorted(maps.Keys(known)) {
		result := Result{Environment: name, DryRun: r.Site.DryRun, Outcome: Deleted}
		if !deleted[name] {
			result.Outcome = Orphaned
			result.Reason = "it is not in environments.yaml, and no commit deletes it: lockstep delete environment " + name + " does"
		} else if result.Changed, err = r.Site.Remove(ctx, name, r.remote(known[name])); err != nil {
			result = result.failed(err)
		} else if len(result.Changed) == 0 {
			continue // it is going
		}
		log(ctx, result)
		results = append(results, result)
	}
	return results
}

// remote is a repository that may not be there any more.
func (r *Reconciler) remote(url string) *git.Remote {
	remote, err := r.Open(url)
	if err != nil {
		return nil
	}
	return remote
}
