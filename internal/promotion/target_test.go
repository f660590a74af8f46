package promotion_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/registry"
)

const release = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec:\n  chart:\n    spec:\n      chart: web\n      version: 1.0.0 # ours\n"

// tools are environments that another tool deploys: what their entry in
// environments.yaml says, and the file.
var tools = map[string]struct{ keys, file, text, want string }{
	"kustomization":     {"file: kustomization.yaml, path: staging", "staging/kustomization.yaml", "images:\n- name: web\n  newTag: 1.0.0\n", "newTag: 1.0.1"},
	"a file of its own": {`file: "apps/{application}.yaml"`, "apps/web.yaml", release, "version: 1.0.1 # ours"},
	"values":            {`file: values.yaml, valuePath: ".{application}.image.tag"`, "values.yaml", "web:\n  image: {tag: 1.0.0}\n", "tag: 1.0.1"},
	"values in a list":  {`file: values.yaml, valuePath: ".apps[name={application}].tag"`, "values.yaml", "apps:\n- {name: api, tag: 1.0.0}\n- {name: web, tag: 1.0.0}\n", "{name: web, tag: 1.0.1}"},
}

// TestOtherTools: a promotion goes into the file of another tool as one commit
// of one line, by everybody's rules.
func TestOtherTools(t *testing.T) {
	t.Parallel()
	for name, tool := range tools {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := gittest.NewInProcessServer(t)
			repository := server.Create("staging", gittest.Files{tool.file: tool.text})
			e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/staging.git", promotion: Auto, `+tool.keys+"}\n")
			promote := func(version string) promotion.Result {
				e.Version = version
				return e.Promote(t.Context(), known.Auto())[0]
			}
			if r := promote("1.0.1"); r.Outcome != promotion.Promoted || r.Err != nil {
				t.Fatalf("got %+v", r)
			}
			if text := repository.File("main", tool.file); !strings.Contains(text, tool.want) {
				t.Errorf("got\n%s, want %s", text, tool.want)
			}
			if stat := repository.Git("show", "--numstat", "--format=", "main"); stat != "1\t1\t"+tool.file {
				t.Errorf("the commit changes %q", stat)
			}
			message := repository.Git("show", "-s", "--format=%B", "main")
			for _, want := range []string{"chore: promote web to version 1.0.1\n", "\nLockstep-Application: web\n", "\nLockstep-Previous: 1.0.0\n"} {
				if !strings.Contains(message+"\n", want) {
					t.Errorf("the message does not say %q:\n%s", want, message)
				}
			}
			for version, want := range map[string]promotion.Outcome{"1.0.1": promotion.Unchanged, "0.9.0": promotion.Superseded} {
				if r := promote(version); r.Outcome != want || r.Err != nil {
					t.Errorf("%s: got %+v, want %s", version, r, want)
				}
			}
		})
	}
}

// TestPinnedEntriesAreRefused: also where the version is there already, since
// something else runs.
func TestPinnedEntriesAreRefused(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	server.Create("staging", gittest.Files{"kustomization.yaml": "images:\n- {name: web, newTag: 1.0.1, digest: 'sha256:0'}\n"})
	e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/staging.git", promotion: Auto, file: kustomization.yaml}`+"\n")
	for _, version := range []string{"1.0.0", "1.0.1", "1.0.2"} {
		e.Version = version
		if r := e.Promote(t.Context(), known.Auto())[0]; r.Outcome != promotion.Refused || !strings.Contains(r.Err.Error(), "digest stands beside it") {
			t.Errorf("%s: got %+v", version, r)
		}
	}
}

// TestOtherToolsInARush: writers who overtake each other take each other's
// entries along, as they do in a chart.
func TestOtherToolsInARush(t *testing.T) {
	t.Parallel()
	r := newRush(t)
	var text strings.Builder
	text.WriteString("images:\n")
	for i := range writers {
		fmt.Fprintf(&text, "- {name: app-%02d, newTag: 1.0.0}\n", i)
	}
	r.repository.Commit("images", gittest.Files{"kustomization.yaml": text.String()})
	landed := atOnce(t, writers, func(i int) (promotion.Landed, error) {
		p := r.promotion(i, nil)
		return p.Into(t.Context(), promotion.Target{Environment: "staging", Remote: r.remote(t), Path: ".", File: "kustomization.yaml"})
	})
	r.wantNoRequests(t)
	history := strings.Fields(r.repository.Git("log", "--format=%H", "main"))
	got := r.repository.File("main", "kustomization.yaml")
	for i, l := range landed {
		if !slices.Contains(history, string(l.Commit)) {
			t.Errorf("%s: %s is not in the history", appOf(i), l.Commit)
		}
		if appOf(i) != "app-00" && !strings.Contains(got, fmt.Sprintf("name: %s, newTag: %s}", appOf(i), versionOf(i))) {
			t.Errorf("%s is not at %s:\n%s", appOf(i), versionOf(i), got)
		}
	}
}

// TestRow36_ApplicationsNameNoOtherPlace: a name becomes part of a path, and
// leads nowhere else.
func TestRow36_ApplicationsNameNoOtherPlace(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	repository := server.Create("both", gittest.Files{"staging/web.yaml": release, "production/web.yaml": release, "values.yaml": "web: {tag: 1.0.0}\nweb.tag: {tag: 1.0.0}\n"})
	before := repository.Head("main")
	for keys, names := range map[string][]string{
		`path: staging, file: "{application}.yaml"`:                                        {"../production/web", "/production/web", "..", "a/../../production/web", ".git"},
		`path: staging, file: "{application}.yaml", valuePath: ".spec.chart.spec.version"`: {"../production/web", "a/../../production/web"},
		`file: values.yaml, valuePath: ".{application}"`:                                   {"web.tag", "web[0]", `web"].tag["`},
	} {
		e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/both.git", promotion: Auto, `+keys+"}\n")
		for _, name := range names {
			e.Application, e.Chart = name, edit.Selector{Name: name}
			if r := e.Promote(t.Context(), known.Auto())[0]; r.Err == nil || fault.Of(r.Err).Kind == fault.KindRetryable {
				t.Errorf("%s with %q: got %+v", keys, name, r)
			}
		}
	}
	if after := repository.Head("main"); after != before {
		t.Errorf("something was committed:\n%s", repository.Git("show", after))
	}
}

// TestRow29_ChartsOfOtherTools: where the file says which chart it is, that one
// is looked for before anything is written; where it does not, the one that the
// promotion names.
func TestRow29_ChartsOfOtherTools(t *testing.T) {
	t.Parallel()
	const application = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec: {source: {repoURL: registry.example.com/charts, chart: web-chart, targetRevision: 1.0.0}}\n"
	for name, test := range map[string]struct{ text, repository, want string }{
		"the file says it":      {application, "oci://elsewhere.example.com", "oci://registry.example.com/charts web-chart 1.0.1"},
		"the promotion does":    {release, "oci://elsewhere.example.com", "oci://elsewhere.example.com web 1.0.1"},
		"nobody does":           {release, "", ""},
		"what is no repository": {release, "../charts", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := gittest.NewInProcessServer(t)
			server.Create("staging", gittest.Files{"web.yaml": test.text})
			e, known := everywhere(t, server, header+`- {name: staging, repository: "%s/staging.git", promotion: Auto, file: web.yaml}`+"\n")
			e.Chart.Repository = test.repository
			var asked string
			e.Published = func(_ context.Context, ref registry.ChartRef) error {
				asked = ref.Repository + " " + ref.Name + " " + ref.Version
				return nil
			}
			if r := e.Promote(t.Context(), known.Auto())[0]; r.Outcome != promotion.Promoted || asked != test.want {
				t.Errorf("got %+v; asked for %q, want %q", r, asked, test.want)
			}
		})
	}
}

// TestFollowIntoOtherTools: what one environment has goes into another one of
// another kind, as one commit.
func TestFollowIntoOtherTools(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		from, to         string // keys
		fromText, toText gittest.Files
		applications     []string
		want             string // in the diff
		fails            string
	}{
		"chart into a kustomization": {"path: .", "file: kustomization.yaml", gittest.Files{"Chart.yaml": list("1.0.1")}, gittest.Files{"kustomization.yaml": "images:\n- {name: web, newTag: 1.0.0}\n- {name: other, newTag: 1.0.0}\n"}, nil, "+- {name: web, newTag: 1.0.1}", ""},
		"kustomization into files":   {"file: kustomization.yaml", `file: "apps/{application}.yaml"`, gittest.Files{"kustomization.yaml": "images:\n- {name: web, newTag: 1.0.1}\n- {name: api, newTag: 1.0.1}\n"}, gittest.Files{"apps/web.yaml": release}, nil, "+      version: 1.0.1 # ours", ""},
		"values into values": {`file: values.yaml, valuePath: ".{application}"`, `file: values.yaml, valuePath: ".{application}.tag"`,
			gittest.Files{"values.yaml": "web: 1.0.1\n"}, gittest.Files{"values.yaml": "web: {tag: 1.0.0}\n"}, []string{"web"}, "+web: {tag: 1.0.1}", ""},
		"images by their last part": {"file: kustomization.yaml", "path: .",
			gittest.Files{"kustomization.yaml": "images:\n- {name: registry.example.com/acme/web, newTag: 1.0.1}\n- {name: proxy, newTag: latest}\n- {name: 'a:b/web two', newTag: 1.0.0}\n"}, gittest.Files{"Chart.yaml": list("1.0.0") + "- {name: proxy, version: 1.0.0}\n"}, nil, "+  version: 1.0.1", ""},
		"pinned ones stay": {"file: kustomization.yaml", "file: kustomization.yaml",
			gittest.Files{"kustomization.yaml": "images:\n- {name: web, newTag: 1.0.1}\n- {name: api, newTag: 1.0.1}\n"}, gittest.Files{"kustomization.yaml": "images:\n- {name: web, newTag: 1.0.0}\n- {name: api, newTag: 1.0.0, digest: 'sha256:0'}\n"}, nil, "+- {name: web, newTag: 1.0.1}", ""},
		"a pinned one by name": {"file: kustomization.yaml", "file: kustomization.yaml",
			gittest.Files{"kustomization.yaml": "images:\n- {name: web, newTag: 1.0.1}\n"}, gittest.Files{"kustomization.yaml": "images:\n- {name: web, newTag: 1.0.0, digest: 'sha256:0'}\n"}, []string{"web"}, "", "digest stands beside it"},
		"a name that is no part of a file's": {"file: kustomization.yaml", `file: "apps/{application}.yaml"`,
			gittest.Files{"kustomization.yaml": "images:\n- {name: web, newTag: 1.0.1}\n- {name: 'web two', newTag: 1.0.1}\n"}, gittest.Files{"apps/web.yaml": release}, nil, "+      version: 1.0.1 # ours", ""},
		"a file that is missing": {"path: .", "file: kustomisation.yaml", gittest.Files{"Chart.yaml": list("1.0.1")}, gittest.Files{"kustomization.yaml": "x: y\n"}, []string{"web"}, "", "kustomisation.yaml is not in the repository"},
		"nobody lists them":      {`file: values.yaml, valuePath: ".{application}"`, "path: .", gittest.Files{"values.yaml": "web: 1.0.1\n"}, gittest.Files{"Chart.yaml": list("1.0.0")}, nil, "", "nothing lists the applications of staging"},
		"not there":              {"path: .", `file: "apps/{application}.yaml"`, gittest.Files{"Chart.yaml": list("1.0.1")}, gittest.Files{"README.md": "x"}, []string{"web"}, "", "production has no application web"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := gittest.NewInProcessServer(t)
			server.Create("staging", test.fromText)
			repository := server.Create("production", test.toText)
			e, known := everywhere(t, server, header+
				`- {name: staging, repository: "%s/staging.git", namespace: a, promotion: Auto, `+test.from+"}\n"+
				`- {name: production, repository: "%s/production.git", namespace: b, promotion: Manual, `+test.to+"}\n")
			from, _ := known.Find("staging")
			to, _ := known.Find("production")
			results, err := e.Follow(t.Context(), from, test.applications, []environment.Environment{to})
			if err == nil {
				err = promotion.Err(results)
			}
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) && !strings.Contains(results[0].Err.Error(), test.fails) {
					t.Errorf("got %v, %+v; want %s", err, results, test.fails)
				}
				return
			}
			if err != nil || len(results) != 1 || results[0].Outcome != promotion.Promoted || results[0].Application != "web" {
				t.Fatalf("got %+v, %v", results, err)
			}
			if diff := repository.Git("show", "--format=%B", "main"); !strings.Contains(diff, test.want) || !strings.Contains(diff, "chore: promote web to version 1.0.1\n") {
				t.Errorf("got\n%s, want %s", diff, test.want)
			}
		})
	}
}
