//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"

	"github.com/lockstep-cd/lockstep/test/site"
)

// pull is a pull request as Gitea tells it.
type pull struct {
	Number      int
	Title, Body string
	Merged      bool
	HTMLURL     string `json:"html_url"`
	MergeCommit string `json:"merge_commit_sha"`
	Labels      []struct{ Name string }
}

// pullRequest promotes the version to production, which opens a request and
// deploys nothing, looks at that, and merges it. It returns the merge's commit.
func (s *scenario) pullRequest(ctx context.Context) string {
	s.Helper()
	e := shared.Production()
	before, err := shared.Version(ctx, e, "user")
	if err != nil {
		s.Fatal(err)
	}
	runs := s.runs(ctx, e)
	opened := s.person.one(ctx, "opened", "user-service", "--version", s.version, "--env", e.Name)
	p := s.onlyPull(ctx, e)
	if opened.URL != p.HTMLURL {
		s.Errorf("lockstep says that it opened %s, and open is %s", opened.URL, p.HTMLURL)
	}
	if want := "chore: promote user-service to version " + s.version; p.Title != want {
		s.Errorf("the request's title is %q, want %q", p.Title, want)
	}
	s.says(p.Body, "Lockstep-Operation: promote", "Lockstep-Environment: "+e.Name, "Lockstep-Application: user-service",
		"Lockstep-Version: "+s.version, "Lockstep-Previous: "+before)
	var labels []string
	for _, l := range p.Labels {
		labels = append(labels, l.Name)
	}
	slices.Sort(labels)
	if want := []string{"dependency/charts/user-service", "env/production"}; !slices.Equal(labels, want) {
		s.Errorf("the request's labels are %q, want %q", labels, want)
	}
	s.untouched(ctx, e)

	p = s.merge(ctx, e, p)
	if _, err := shared.RunOf(ctx, e.RunNamespace(), p.MergeCommit); err != nil {
		s.Fatal(err)
	}
	// The branch of the request was pushed earlier: a run for it would be here.
	if now := s.runs(ctx, e); now != runs+1 {
		s.Errorf("production had %d runs before the request and has %d after its merge, want one more", runs, now)
	}
	return p.MergeCommit
}

func (s *scenario) runs(ctx context.Context, e site.Environment) int {
	s.Helper()
	runs, err := shared.Runs(ctx, e.RunNamespace())
	if err != nil {
		s.Fatal(err)
	}
	return len(runs)
}

func pullsPath(e site.Environment) string {
	return fmt.Sprintf("/repos/%s/%s/pulls", shared.Owner, e.Repository())
}

// onlyPull is the one request that is open for an environment.
func (s *scenario) onlyPull(ctx context.Context, e site.Environment) pull {
	s.Helper()
	var open []pull
	if err := shared.Gitea.Call(ctx, "GET", pullsPath(e)+"?state=open", nil, &open); err != nil {
		s.Fatal(err)
	}
	if len(open) != 1 {
		s.Fatalf("%d pull requests are open for %s, want 1: %+v", len(open), e.Name, open)
	}
	return open[0]
}

// merge merges a request as a person does on the page of Gitea, which first looks
// for conflicts and refuses meanwhile.
func (s *scenario) merge(ctx context.Context, e site.Environment, p pull) pull {
	s.Helper()
	path := fmt.Sprintf("%s/%d", pullsPath(e), p.Number)
	if err := site.Until(ctx, "the merge of "+p.HTMLURL, func(ctx context.Context) (bool, error) {
		merge := shared.Gitea.Call(ctx, "POST", path+"/merge", map[string]string{"Do": "merge"}, nil)
		if err := shared.Gitea.Call(ctx, "GET", path, nil, &p); err != nil {
			return false, err
		}
		return p.Merged, merge
	}); err != nil {
		s.Fatal(err)
	}
	return p
}
