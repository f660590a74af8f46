package promotion_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// TestManyAddAndRemove: applications come and go at the same time as versions
// rise, and nobody's change is lost.
func TestManyAddAndRemove(t *testing.T) {
	t.Parallel()
	r := newRush(t)
	landed := atOnce(t, writers, func(i int) (promotion.Landed, error) {
		p := r.promotion(i, nil)
		switch i % 3 {
		case 1:
			p.Remove, p.Version = true, ""
		case 2:
			p.Add, p.Chart = true, edit.Selector{Name: "new-" + versionOf(i), Repository: "oci://registry.example.com/charts"}
			p.Application = p.Chart.Name
		}
		return p.Into(t.Context(), promotion.Target{Environment: "staging", Remote: r.remote(t), Path: "."})
	})
	r.wantNoRequests(t)
	chart := r.repository.File("main", "Chart.yaml")
	for i, l := range landed {
		if l.Outcome != promotion.Promoted && appOf(i) != "app-00" { // which two of them promote
			t.Errorf("%d came to %s", i, l.Outcome)
		}
		has := func(text string) bool { return strings.Contains(chart+"\n", text) }
		switch i % 3 {
		case 0:
			if appOf(i) != "app-00" && !has("- name: "+appOf(i)+"\n  version: "+versionOf(i)+"\n") {
				t.Errorf("%s is not at %s", appOf(i), versionOf(i))
			}
		case 1:
			if has("- name: " + appOf(i) + "\n") {
				t.Errorf("%s is still there", appOf(i))
			}
		case 2:
			if !has("- name: new-" + versionOf(i) + "\n  version: " + versionOf(i) + "\n  repository: oci://registry.example.com/charts\n") {
				t.Errorf("%s was not added", versionOf(i))
			}
		}
	}
	if t.Failed() {
		t.Log(chart)
	}
}

// TestRow02_WhatWasAddedMeanwhileIsPromoted: somebody else adds the application
// while we do. Ours is a promotion then, by the rules of one.
func TestRow02_WhatWasAddedMeanwhileIsPromoted(t *testing.T) {
	t.Parallel()
	for theirs, want := range map[string]string{"1.0.0": "1.0.1", "1.0.2": "1.0.2"} {
		server := gittest.NewInProcessServer(t)
		repository := server.Create("staging", gittest.Files{"Chart.yaml": "name: env\n"})
		e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/staging.git", namespace: a, promotion: Auto}`+"\n")
		e.Add, e.Chart.Repository = true, "https://a"
		repository.CommitTo("theirs", "theirs", gittest.Files{"Chart.yaml": "name: env\ndependencies:\n- name: web\n  version: " + theirs + "\n  repository: https://a\n"})
		var once sync.Once
		server.Before(func(_ http.ResponseWriter, request *http.Request) bool {
			if gittest.IsPush(request) {
				once.Do(func() { repository.Git("update-ref", "refs/heads/main", "refs/heads/theirs") })
			}
			return false
		})
		r := e.Promote(t.Context(), known.Auto())[0]
		if text := repository.File("main", "Chart.yaml"); r.Err != nil || strings.Count(text, "name: web") != 1 || !strings.Contains(text, "version: "+want) {
			t.Errorf("beside %s: got %+v\n%s", theirs, r, text)
		}
	}
}

// TestRow31_VendoredChartsComeAndGoByHand: an archive that stays would be
// deployed, and one that is missing would not.
func TestRow31_VendoredChartsComeAndGoByHand(t *testing.T) {
	t.Parallel()
	more := func(e *promotion.Everywhere) {
		e.Add, e.Chart = true, edit.Selector{Name: "api", Repository: "https://a"}
	}
	ranged := strings.Replace(list("1.0.0"), "1.0.0", "^1.0.0", 1)
	for name, test := range map[string]struct {
		files  gittest.Files
		change func(*promotion.Everywhere)
	}{
		"one more":            {gittest.Files{"Chart.yaml": list("1.0.0"), "charts/web-1.0.0.tgz": "x"}, more},
		"one more, a folder":  {gittest.Files{"Chart.yaml": list("1.0.0"), "charts/web/Chart.yaml": "version: 1.0.0\n"}, more},
		"one more, by a lock": {gittest.Files{"Chart.yaml": ranged, "Chart.lock": "dependencies:\n- {name: web, version: 1.0.0}\n", "charts/web-1.0.0.tgz": "x"}, more},
		"one less":            {gittest.Files{"Chart.yaml": list("1.0.0"), "charts/web-1.0.0.tgz": "x"}, func(e *promotion.Everywhere) { e.Remove = true }},
	} {
		files, change := test.files, test.change
		server := gittest.NewInProcessServer(t)
		repository := server.Create("staging", files)
		before := repository.Head("main")
		e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/staging.git", namespace: a, promotion: Auto}`+"\n")
		change(&e)
		if r := e.Promote(t.Context(), []environment.Environment{known.Environments[0]})[0]; r.Outcome != promotion.Refused || !strings.Contains(r.Err.Error(), "would be stale") {
			t.Errorf("%s: got %+v", name, r)
		}
		if repository.Head("main") != before {
			t.Errorf("%s: something was committed", name)
		}
	}
}

// TestRow30_AChartIsNotAddedTwice: by another name or from a mirror it would be
// deployed beside itself.
func TestRow30_AChartIsNotAddedTwice(t *testing.T) {
	t.Parallel()
	for name, chart := range map[string]edit.Selector{
		"from elsewhere":       {Name: "web", Repository: "https://elsewhere"},
		"by an alias":          {Name: "web", Repository: "https://a", Alias: "front"},
		"elsewhere and so":     {Name: "web", Repository: "https://elsewhere", Alias: "front"},
		"its name is taken by": {Name: "other", Repository: "https://a", Alias: "web"},
	} {
		server := gittest.NewInProcessServer(t)
		repository := server.Create("staging", gittest.Files{"Chart.yaml": list("1.0.0")})
		before := repository.Head("main")
		e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/staging.git", namespace: a, promotion: Auto}`+"\n")
		e.Add, e.Chart = true, chart
		if r := e.Promote(t.Context(), known.Auto())[0]; r.Outcome != promotion.Refused {
			t.Errorf("%s: got %+v", name, r)
		}
		if repository.Head("main") != before {
			t.Errorf("%s: it was added:\n%s", name, repository.File("main", "Chart.yaml"))
		}
	}
}
