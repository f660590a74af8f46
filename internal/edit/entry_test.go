package edit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// forms are the files of other tools, as their documents write them. The marks
// stand around the version of web.
var forms = map[string]struct{ marked, repository, chart string }{
	"kustomization":                {marked: "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../base]\nimages:\n- name: api\n  newTag: 1.0.0\n- name: web   # ours\n  newTag: «2.3.118»\n"},
	"kustomization without a kind": {marked: "images:\n- {name: registry.example.com/acme/web, newTag: «'2.3.118'»}\n- {name: registry.example.com/acme/api, newTag: '1'}\n"},
	"kustomization, new name":      {marked: "kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\nimages:\n- name: placeholder\n  newName: registry.example.com/acme/web\n  newTag: «\"2.3.118\"»\n"},
	"component":                    {marked: "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nimages:\n- name: web\n  newTag: «2.3.118»\n"},
	"Flux Kustomization":           {marked: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\nspec:\n  images:\n  - name: web\n    newTag: «2.3.118»\n"},
	"HelmRelease":                  {marked: "---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: web\nspec:\n  chart:\n    spec:\n      chart: web-chart\n      version: «2.3.118» # {\"$imagepolicy\": \"x\"}\n---\napiVersion: helm.toolkit.fluxcd.io/v2beta2\nkind: HelmRelease\nmetadata: {name: api}\nspec: {chart: {spec: {chart: web, version: 1.0.0}}}\n"},
	"HelmRelease, by its chart":    {marked: "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: frontend}\nspec:\n  chart:\n    spec:\n      chart: web\n      version: «2.x»\n"},
	"HelmRelease, by its release":  {marked: "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: frontend}\nspec:\n  releaseName: web\n  chart:\n    spec:\n      chart: x\n      version: «2.3.118»\n"},
	"OCIRepository": {"apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata:\n  name: web\nspec:\n  url: oci://registry.example.com/charts/web\n  ref:\n    tag: «2.3.118»\n---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec:\n  chartRef: {kind: OCIRepository, name: web}\n",
		"oci://registry.example.com/charts", "web"},
	"Application": {"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: web\nspec:\n  source:\n    repoURL: https://charts.example.com\n    chart: web-chart\n    targetRevision: «2.3.118»\n",
		"https://charts.example.com", "web-chart"},
	"Application, chart in a registry": {"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: web\nspec:\n  source: {repoURL: registry.example.com/charts, chart: web, targetRevision: «2.3.118»}\n",
		"oci://registry.example.com/charts", "web"},
	"Application, tag in Git": {marked: "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: web\nspec:\n  source:\n    repoURL: https://git.example.com/acme/web\n    path: deploy\n    targetRevision: «v2.3.118»\n"},
	"Application, chart and values": {"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: web\nspec:\n  sources:\n  - repoURL: https://git.example.com/acme/values\n    targetRevision: main\n    ref: values\n  - repoURL: https://charts.example.com\n    chart: web-chart\n    targetRevision: «2.3.118»\n",
		"https://charts.example.com", "web-chart"},
	"Application, chart and values of a version": {"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: web\nspec:\n  sources:\n  - {repoURL: https://git.example.com/acme/values.git, targetRevision: v1.0.0, ref: values}\n  - {repoURL: https://charts.example.com, chart: app-template, targetRevision: «2.3.118»}\n",
		"https://charts.example.com", "app-template"},
	"Application of a chart and a folder": {marked: "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: shop\nspec:\n  sources:\n  - {repoURL: https://git.example.com/acme/web.git, path: ., targetRevision: «2.3.118»}\n  - {repoURL: https://charts.example.com, chart: api, targetRevision: 1.0.0}\n"},
	"templated repository":                {marked: "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: web}\nspec: {template: {spec: {source: {repoURL: '{{.registry}}/charts', chart: web, targetRevision: «2.3.118»}}}}\n"},
	"kustomization of a kind alone":       {marked: "kind: Kustomization\nimages:\n- {name: web, newTag: «2.3.118»}\n"},
	"Application of several charts": {"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: shop\nspec:\n  sources:\n  - {repoURL: https://charts.example.com, chart: api, targetRevision: 1.0.0}\n  - {repoURL: https://charts.example.com, chart: web, targetRevision: «2.3.118»}\n",
		"https://charts.example.com", "web"},
	"ApplicationSet": {"apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata:\n  name: web\nspec:\n  generators: [{list: {elements: [{cluster: a}]}}]\n  template:\n    metadata: {name: '{{cluster}}-web'}\n    spec:\n      source:\n        repoURL: https://charts.example.com\n        chart: web\n        targetRevision: «2.3.118»\n",
		"https://charts.example.com", "web"},
	"helmfile": {"repositories:\n- name: acme\n  url: https://charts.example.com\nreleases:\n- name: api\n  chart: acme/api\n  version: 1.0.0\n- name: web\n  namespace: shop\n  chart: acme/web-chart\n  version: «2.3.118»\n",
		"https://charts.example.com", "web-chart"},
	"helmfile, registry": {"repositories: [{name: acme, url: registry.example.com/charts, oci: true}]\n---\nreleases:\n- {name: frontend, chart: acme/web, version: «2.3.118»}\n", "", ""},
	"helmfile, address":  {"releases:\n- {name: web, chart: 'oci://registry.example.com/charts/web', version: «2.3.118»}\n", "oci://registry.example.com/charts", "web"},
}

// TestRow33_EntriesOfOtherTools: the version is changed, no other byte, and
// where the chart is published is known as far as the file says it.
func TestRow33_EntriesOfOtherTools(t *testing.T) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			file, start, end := unmark(form.marked)
			was := strings.Trim(file[start:end], `'"`)
			out, previous, err := edit.SetEntry([]byte(file), "web", "2.3.119")
			if err != nil {
				t.Fatal(err)
			}
			want := file[:start] + strings.ReplaceAll(file[start:end], was, "2.3.119") + file[end:]
			if string(out) != want || previous != was {
				t.Errorf("got\n%s, previous %q; want\n%s, previous %q", out, previous, want, was)
			}
			entry, err := edit.FindEntry([]byte(file), "web")
			if err != nil || entry.Version != was || entry.Repository != form.repository || form.chart != "" && entry.Chart != form.chart {
				t.Errorf("found %+v, %v", entry, err)
			}
		})
	}
}

// TestEntriesThatAreRefused: where the version does not decide, or nobody knows
// which one is meant, nothing is written.
func TestEntriesThatAreRefused(t *testing.T) {
	application := "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec:\n  source: "
	repository := "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: web}\nspec: {url: 'oci://r/web', ref: "
	for name, test := range map[string]struct {
		file, want string
		is         error
	}{
		"a digest goes first":          {"images:\n- {name: web, newTag: 1.0.0, digest: 'sha256:0'}\n", "2:3: newTag of web alone would not change what is deployed: digest", nil},
		"semver goes first":            {repository + "{tag: 1.0.0, semver: 1.x}}\n", "semver stands beside it", nil},
		"digest goes first":            {repository + "{tag: 1.0.0, digest: 'sha256:0'}}\n", "digest stands beside it", nil},
		"filled in":                    {application + "{repoURL: https://c, chart: web, targetRevision: '{{.version}}'}\n", "filled in from elsewhere", nil},
		"inherited":                    {"releases:\n- {name: web, chart: a/web, inherit: [{template: default}]}\n", "inherits it, on line 2", nil},
		"filled in by helmfile":        {"releases:\n- {name: web, chart: a/web, version: '{{ .Values.v }}'}\n", "filled in from elsewhere", nil},
		"filled in by Flux":            {repository + "{tag: '${web_version}'}}\n", "filled in from elsewhere", nil},
		"of a folder":                  {"releases:\n- {name: web, chart: ./charts/web, version: 1.0.0}\n", "the chart of a folder", nil},
		"of a Git repository":          {"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec: {chart: {spec: {chart: ./web, version: 1.0.0, sourceRef: {kind: GitRepository}}}}\n", "the chart of a GitRepository", nil},
		"patched":                      {strings.Replace(application, "kind: Application\n", "kind: ApplicationSet\n", 1) + "x\n  templatePatch: 'spec: {source: {targetRevision: 1}}'\n  template: {spec: {source: {repoURL: https://c, chart: web, targetRevision: 1.0.0}}}\n", "a generator or templatePatch sets it", nil},
		"of a generator":               {strings.Replace(application, "kind: Application\n", "kind: ApplicationSet\n", 1) + "x\n  generators: [{list: {template: {spec: {source: {targetRevision: 1.0.0}}}}}]\n  template: {spec: {source: {repoURL: https://c, chart: web, targetRevision: 1.0.0}}}\n", "a generator or templatePatch sets it", nil},
		"merged":                       {"x: &pin {digest: 'sha256:0'}\nimages:\n- {<<: *pin, name: web, newTag: 1.0.0}\n", "what the entry merges", nil},
		"on a branch":                  {application + "{repoURL: https://git, path: ., targetRevision: main}\n", `no entry is called "web"`, edit.ErrNotFound},
		"no version":                   {"images:\n- {name: web, newName: other}\n", "2:3: web has no newTag", edit.ErrNotFound},
		"none of that name":            {"images:\n- {name: api, newTag: 1.0.0}\n", `no entry is called "web"`, edit.ErrNotFound},
		"none of these files":          {"web: 1.0.0\n", `no entry is called "web"`, edit.ErrNotFound},
		"a chart":                      {"apiVersion: v2\nname: env\nimages: [{name: web, newTag: '1'}]\n", `no entry is called "web"`, edit.ErrNotFound},
		"twice":                        {"images:\n- {name: web, newTag: 1.0.0}\n- {name: web, newTag: 1.0.0}\n", `3:3: "web" fits several entries, also the one at 2:3`, edit.ErrAmbiguous},
		"twice by their last part":     {"images:\n- {name: a/web, newTag: 1.0.0}\n- {name: b/web, newTag: 1.0.0}\n", "fits several", edit.ErrAmbiguous},
		"a mapping is no version":      {"images:\n- {name: web, newTag: {a: b}}\n", "not a single value", nil},
		"an alias is changed at home":  {"x-version: &v 1.0.0\nreleases:\n- {name: web, chart: a/web, version: *v}\n", "the value is the alias *v", nil},
		"a list where none belongs":    {"images: {web: 1.0.0}\n", `no entry is called "web"`, edit.ErrNotFound},
		"what is no YAML has its line": {"images:\n- {name: {{ .Values.web }}, newTag: \"{{ x }}\"\n", "2:", nil},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := edit.SetEntry([]byte(test.file), "web", "2.0.0")
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("got %v, want %s, and %v", err, test.want, test.is)
			}
			if out != nil || fault.Of(err).Kind == fault.KindRetryable {
				t.Errorf("it came to %q, %v", out, fault.Of(err).Kind)
			}
		})
	}
	for _, version := range []string{"1.0\nfoo: x", "1.0.0+build"} {
		if _, _, err := edit.SetEntry([]byte("images:\n- {name: web, newTag: 1.0.0}\n"), "web", version); fault.Of(err).Kind != fault.KindUsage {
			t.Errorf("%q as a tag: %v", version, err)
		}
	}
}

// TestEntriesOfAFile: all of them, of every document, in their order.
func TestEntriesOfAFile(t *testing.T) {
	entries, err := edit.Entries([]byte("releases: [{name: b, chart: x/b, version: 1.0.0}, {name: a, chart: x/a}]\n---\nother: 1\n---\nreleases: [{name: c, chart: x/c, version: 1.10}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name+" "+e.Version)
	}
	if text := strings.Join(got, ","); text != "b 1.0.0,a ,c 1.10" {
		t.Errorf("got %s", text)
	}
}
