package git

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// refspec is one item of what git fetch takes: [+]source[:destination].
type refspec struct{ from, to string }

// parseRefspecs reads items separated by white space. A leading + is accepted
// and means nothing: the local refs of a fresh clone may always be set.
func parseRefspecs(text string) ([]refspec, error) {
	var all []refspec
	for word := range strings.FieldsSeq(text) {
		from, to, _ := strings.Cut(strings.TrimPrefix(word, "+"), ":")
		s := refspec{from, to}
		if err := s.check(); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (s refspec) check() error {
	wild := strings.Count(s.from, "*")
	wrong := wild > 1 || s.to != "" && strings.Count(s.to, "*") != wild || wild == 1 && !strings.HasPrefix(s.from, "refs/")
	if !wrong {
		if _, err := candidates(strings.Replace(s.from, "*", "x", 1)); err != nil {
			return err
		}
		if _, err := candidates(strings.Replace(s.to, "*", "x", 1)); err != nil {
			return err
		}
		return nil
	}
	return fault.Usage("InvalidRevision", fmt.Errorf("%w refspec %.100q:%.100q", ErrInvalid, s.from, s.to),
		"Give source:destination, such as refs/pull/7/head:refs/heads/pull-7; one * on both sides of full names.")
}

// destination is the full local name for a ref, "" for none.
func (s refspec) destination(ref Ref) string {
	to := s.to
	if prefix, suffix, wild := strings.Cut(s.from, "*"); wild {
		to = strings.Replace(to, "*", strings.TrimSuffix(strings.TrimPrefix(ref.Name, prefix), suffix), 1)
	}
	if to == "" || strings.HasPrefix(to, "refs/") {
		return to
	}
	if strings.HasPrefix(ref.Name, "refs/tags/") {
		return "refs/tags/" + to
	}
	return "refs/heads/" + to
}

// sources are the remote's refs that a refspec names.
func (r *Remote) sources(ctx context.Context, s refspec) ([]Ref, error) {
	prefix, suffix, wild := strings.Cut(s.from, "*")
	if !wild {
		ref, err := r.Resolve(ctx, s.from)
		return []Ref{ref}, err
	}
	listed, err := r.Refs(ctx, prefix)
	var refs []Ref
	for _, ref := range listed {
		if strings.HasSuffix(ref.Name, suffix) {
			refs = append(refs, ref)
		}
	}
	return refs, err
}

// fetched is what a clone with refspecs brought in this run.
type fetched struct {
	first Ref               // which the git program calls FETCH_HEAD
	refs  map[string]Hash   // local refs by their full names
	above map[string]string // folders of refs, each with a ref in it
}

// set notes a destination. Two that exclude each other are a mistake in the
// refspecs: dropping the first would hide it.
func (f *fetched) set(name string, to Hash) error {
	other := f.above[name]
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, there := f.refs[dir]; there {
			other = dir
		}
		f.above[dir] = name
	}
	if other != "" {
		return fault.Usage("InvalidRevision", fmt.Errorf("%w refspec: Git cannot keep %s beside %s", ErrInvalid, name, other),
			"Give one of them another destination.")
	}
	f.refs[name] = to
	return nil
}

// fetchRefspecs fetches what the refspecs name and sets the local refs.
func (r *Remote) fetchRefspecs(ctx context.Context, into *Repository, specs []refspec, depth int) (*fetched, error) {
	f := &fetched{refs: map[string]Hash{}, above: map[string]string{}}
	for _, s := range specs {
		refs, err := r.sources(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, ref := range refs {
			if err := r.fetchRefspec(ctx, into, s, ref, depth, f); err != nil {
				return nil, err
			}
		}
	}
	if f.first.Hash == "" {
		return nil, fault.Refused("RevisionNotFound", fmt.Errorf("the refspec matches no ref of %s: %w", r.URL(), ErrNotFound), "")
	}
	return f, nil
}

func (r *Remote) fetchRefspec(ctx context.Context, into *Repository, s refspec, ref Ref, depth int, f *fetched) error {
	if f.first.Hash == "" {
		f.first = ref
	}
	to := s.destination(ref)
	if to != "" {
		if err := f.set(to, ref.Hash); err != nil {
			return err
		}
	}
	if err := r.Fetch(ctx, into, ref, depth); err != nil || to == "" {
		return err
	}
	return into.SetRef(to, ref.Hash)
}

// fetchAll is the first half of a clone with a refspec: fetch, then find the
// revision among what came, or else at the remote. Refs that an earlier clone
// left in the folder do not count.
func (c *cloning) fetchAll(ctx context.Context) error {
	f, err := c.from.fetchRefspecs(ctx, c.repo, c.refspecs, c.Depth)
	if err != nil {
		return err
	}
	if c.Revision == "" || c.Revision == "FETCH_HEAD" {
		c.ref = Ref{Hash: f.first.Hash}
		return nil
	}
	for _, name := range localNames(c.Revision) {
		if h, ok := f.refs[name]; ok {
			c.ref = Ref{Name: strings.Replace(name, "refs/remotes/origin/", "refs/heads/", 1), Hash: h}
			return nil
		}
	}
	if c.ref, err = c.from.Resolve(ctx, c.Revision); err != nil {
		return err
	}
	return c.from.Fetch(ctx, c.repo, c.ref, c.Depth)
}

// localNames are the full names that a revision may have here.
func localNames(revision string) []string {
	if strings.HasPrefix(revision, "refs/") {
		return []string{revision}
	}
	return []string{"refs/heads/" + revision, "refs/tags/" + revision, "refs/remotes/origin/" + revision}
}
