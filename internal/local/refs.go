package local

import (
	"context"
	"slices"
	"strings"
)

// zeros is the commit of a ref that is not there.
const zeros = "0000000000000000000000000000000000000000"

// refs are the branches and tags of a repository with what they point to.
// Hosts send webhooks for no others.
func (r *Repositories) refs(ctx context.Context, name string) (map[string]string, error) {
	out, err := r.run(ctx, r.path(name), "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if object, ref, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok {
			refs[ref] = object
		}
	}
	return refs, nil
}

// change is what a push did to one ref.
type change struct{ ref, before, after string }

// changed compares the refs before and after a push, in the order of names.
func changed(before, after map[string]string) []change {
	var all []change
	for ref, now := range after {
		if was, ok := before[ref]; !ok {
			all = append(all, change{ref, zeros, now})
		} else if was != now {
			all = append(all, change{ref, was, now})
		}
	}
	for ref, was := range before {
		if _, ok := after[ref]; !ok {
			all = append(all, change{ref, was, zeros})
		}
	}
	slices.SortFunc(all, func(a, b change) int { return strings.Compare(a.ref, b.ref) })
	return all
}
