package view_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/view"
)

func list(versions ...string) string {
	text := "apiVersion: v2\nname: env\nversion: 0.1.0\ndependencies:\n"
	for i, v := range versions {
		text += "- name: " + string(rune('a'+i)) + "\n  version: " + v + "\n  repository: https://a\n"
	}
	return text
}

// site is two environments on a host.
type site struct {
	*testing.T
	server              *gittest.Server
	staging, production *gittest.Repository
	known               []environment.Environment
}

func newSite(t *testing.T) *site {
	server := gittest.NewInProcessServer(t)
	s := &site{T: t, server: server}
	s.staging = server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0", "1.0.0")})
	s.production = server.Create("production", gittest.Files{"Chart.yaml": list("1.0.0", "1.0.0")})
	for _, r := range []*gittest.Repository{s.staging, s.production} {
		name := strings.TrimSuffix(filepath.Base(r.URL), ".git")
		s.known = append(s.known, environment.Environment{Name: name, Repository: r.URL, Path: ".", Namespace: name, Promotion: environment.Auto, Delivery: environment.ByCommit})
	}
	return s
}

func (s *site) read(cache view.Cache) []view.Environment {
	s.Helper()
	found := view.Read(s.Context(), s.known, func(url string) (*git.Remote, error) { return git.NewRemote(url, git.Access{}) }, cache)
	for _, e := range found {
		if e.Err != nil {
			s.Fatal(e.Err)
		}
	}
	return found
}

// promoted is a commit as a promotion makes it.
func (s *site) promoted(r *gittest.Repository, application, version string, versions ...string) {
	s.Helper()
	r.Commit("chore: promote "+application+" to version "+version+"\n\nLockstep-Operation: promote\nLockstep-Application: "+application+"\nLockstep-Version: "+version+"\n",
		gittest.Files{"Chart.yaml": list(versions...)})
}

// recorded is what became of a deployment; one that failed before it changed
// anything has no versions, and made no revision.
func (s *site) recorded(r *gittest.Repository, state environment.State, finished time.Time, versions ...string) {
	s.Helper()
	record := environment.Record{
		State: state, Environment: strings.TrimSuffix(filepath.Base(r.URL), ".git"), Commit: r.Head("main"), Run: "acme/1", Revision: min(len(versions), 1), Finished: finished.Truncate(time.Second),
	}
	for i, v := range versions {
		record.Applications = append(record.Applications, environment.Application{Name: string(rune('a' + i)), Version: v})
	}
	line, err := record.Line(nil)
	if err != nil {
		s.Fatal(err)
	}
	r.Git("notes", "--ref=lockstep", "append", "-m", line, "main")
}

// TestStandings: desired, deployed and verified are three things.
func TestStandings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	start := time.Now().Add(-10 * time.Hour)
	s.recorded(s.staging, environment.Verified, start, "1.0.0", "1.0.0")
	s.promoted(s.staging, "a", "1.0.1", "1.0.1", "1.0.0")
	s.recorded(s.staging, environment.Verified, start.Add(time.Hour), "1.0.1", "1.0.0")
	s.recorded(s.staging, environment.Verified, start.Add(2*time.Hour), "1.0.1", "1.0.0") // once more
	s.promoted(s.staging, "a", "1.0.10", "1.0.10", "1.0.0")
	s.recorded(s.staging, environment.Failed, start.Add(3*time.Hour), "1.0.10", "1.0.0")
	s.recorded(s.staging, environment.Superseded, start.Add(4*time.Hour), "9.9.9", "9.9.9") // changed nothing
	s.promoted(s.staging, "b", "1.1.0", "1.0.10", "1.1.0")

	found := s.read("")
	a, b := found[0].Applications[0], found[0].Applications[1]
	if found[0].State != environment.Failed {
		t.Errorf("staging is %q", found[0].State)
	}
	if a.Desired != "1.0.10" || a.Deployed != "1.0.10" || a.Verified != "1.0.1" || !a.VerifiedSince.Equal(start.Add(time.Hour).Truncate(time.Second)) || a.Since.IsZero() || a.By == "" {
		t.Errorf("a in staging: %+v", a)
	}
	if b.Desired != "1.1.0" || b.Deployed != "1.0.0" || b.Verified != "1.0.0" || b.Behind != 0 {
		t.Errorf("b in staging: %+v", b)
	}
	a, b = found[1].Applications[0], found[1].Applications[1]
	if a.Behind != 2 || a.BehindSince.IsZero() || b.Behind != 1 || a.Deployed != "" || !a.Since.IsZero() {
		t.Errorf("in production: %+v, %+v", a, b)
	}
	var what []string
	for _, e := range found[0].Events {
		what = append(what, e.What)
	}
	if got := strings.Count(strings.Join(what, " "), "promote"); got != 3 || len(what) != 3+1+5 {
		t.Errorf("events %v", what)
	}
}

// TestFailedBeforeAnythingChanged: the environment's last deployment is that one, and
// what is deployed is what was before.
func TestFailedBeforeAnythingChanged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	start := time.Now().Add(-time.Hour)
	s.recorded(s.staging, environment.Verified, start, "1.0.0", "1.0.0")
	s.promoted(s.staging, "a", "1.0.1", "1.0.1", "1.0.0")
	s.recorded(s.staging, environment.Failed, start.Add(time.Minute))
	staging := s.read("")[0]
	if staging.State != environment.Failed || staging.Deployed != staging.Commit {
		t.Errorf("staging is %q at %s, its branch at %s", staging.State, staging.Deployed, staging.Commit)
	}
	if a := staging.Applications[0]; a.Desired != "1.0.1" || a.Deployed != "1.0.0" || a.Verified != "1.0.0" {
		t.Errorf("a: %+v", a)
	}
}

// TestCache: nothing is fetched again while no ref moves, and a ref that moved is
// seen; what cannot be read is read anew.
func TestCache(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.recorded(s.staging, environment.Verified, time.Now(), "1.0.0", "1.0.0")
	cache := view.Cache(filepath.Join(t.TempDir(), "views"))
	questions := func() int {
		before := s.server.Count(isQuestion)
		s.read(cache)
		return s.server.Count(isQuestion) - before
	}
	// Two branches and one ref of notes are fetched once.
	if cold, warm := questions(), questions(); cold-warm < 3 {
		t.Errorf("%d questions cold and %d warm", cold, warm)
	}
	s.promoted(s.staging, "a", "1.0.1", "1.0.1", "1.0.0")
	if got := s.read(cache)[0].Applications[0].Desired; got != "1.0.1" {
		t.Errorf("after a promotion: %s", got)
	}
	s.recorded(s.staging, environment.Verified, time.Now(), "1.0.1", "1.0.0")
	if got := s.read(cache)[0].Applications[0].Verified; got != "1.0.1" {
		t.Errorf("after a record: %s", got)
	}
	entries, err := os.ReadDir(string(cache))
	if err != nil || len(entries) != 2 {
		t.Fatalf("kept %v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
		if err := os.WriteFile(filepath.Join(string(cache), e.Name()), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.read(cache)[0].Applications[0].Verified; got != "1.0.1" {
		t.Errorf("after the cache was damaged: %s", got)
	}
}

// isQuestion is a request for refs or objects.
func isQuestion(r gittest.Request) bool { return r.Method == http.MethodPost }
