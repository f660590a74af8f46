package view_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/view"
)

// deployed is a record of the branch's tip, as the program record writes it.
func (s *site) deployed(r *gittest.Repository, record environment.Record, version string) {
	s.Helper()
	record.Environment, record.Commit, record.Run = strings.TrimSuffix(filepath.Base(r.URL), ".git"), r.Head("main"), "acme/1"
	record.Applications = []environment.Application{{Name: "a", Version: version}, {Name: "b", Version: "1.0.0"}}
	line, err := record.Line(nil)
	if err != nil {
		s.Fatal(err)
	}
	r.Git("notes", "--ref=lockstep", "append", "-m", line, "main")
}

// TestRow51_TenInOneSecond: the last of ten deployments is the one with the highest
// revision, and the timeline has them in their order; from the cache, too.
func TestRow51_TenInOneSecond(t *testing.T) {
	s := newSite(t)
	second := time.Now().Truncate(time.Second)
	for n := range 10 {
		version := fmt.Sprintf("1.0.%d", n)
		s.promoted(s.staging, "a", version, version, "1.0.0")
		record := environment.Record{State: environment.Verified, Revision: n + 1, Finished: second}
		if n == 8 {
			record.State, record.Reason = environment.Failed, "CrashLoopBackOff"
		}
		s.deployed(s.staging, record, version)
	}
	cache := view.Cache(filepath.Join(t.TempDir(), "views"))
	for range 2 {
		staging := s.read(cache)[0]
		if staging.State != environment.Verified || staging.Deployed != staging.Commit || staging.Reason != "" {
			t.Errorf("staging is %q at %s, %s; its branch at %s", staging.State, staging.Deployed, staging.Reason, staging.Commit)
		}
		if a := staging.Applications[0]; a.Deployed != "1.0.9" || a.Verified != "1.0.9" {
			t.Errorf("a: %+v", a)
		}
		var commits []string
		for _, e := range view.Timeline([]view.Environment{staging}) {
			if e.Run != "" {
				commits = append(commits, string(e.Commit))
			}
		}
		if want := strings.Fields(s.staging.Git("rev-list", "--max-count=10", "main")); strings.Join(commits, " ") != strings.Join(want, " ") {
			t.Errorf("the timeline has\n%s, want\n%s", strings.Join(commits, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestRow51_FailedBeforeItsRevision: a deployment of the newest commit that made no
// revision is the last one, and one of an older commit that ends as late is not.
func TestRow51_FailedBeforeItsRevision(t *testing.T) {
	second := time.Now().Truncate(time.Second)
	for name, newest := range map[string]bool{"of the newest commit": true, "of an older one": false} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			first := environment.Record{State: environment.Failed, Finished: second, Reason: "Timeout"}
			then := environment.Record{State: environment.Verified, Revision: 4, Finished: second}
			if newest {
				first, then = then, first
			}
			s.deployed(s.staging, first, "1.0.0")
			s.promoted(s.staging, "a", "1.0.1", "1.0.1", "1.0.0")
			s.deployed(s.staging, then, "1.0.1")
			if staging := s.read("")[0]; staging.State != then.State || staging.Deployed != staging.Commit {
				t.Errorf("staging is %q at %s", staging.State, staging.Deployed)
			}
		})
	}
}
