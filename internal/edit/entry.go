package edit

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// Entry is an application in a file that another tool deploys from, and the
// version that is wanted there. The forms that are known:
//
//   - a kustomization's images, and those of a Flux Kustomization: newTag;
//   - a Flux HelmRelease: .spec.chart.spec.version; an OCIRepository: .spec.ref.tag;
//   - an Argo CD Application or ApplicationSet: the targetRevision of each source
//     of a chart, and of one from Git where it is a version;
//   - a helmfile's releases: version.
//
// What a file is, is known by its apiVersion and kind; without these two,
// `images` make a kustomization and `releases` a helmfile, as their tools have it.
type Entry struct {
	Name    string // by which the file knows the application
	Version string // "" where there is none
	// Repository and Chart say where the versions are published, in the form of
	// a chart's dependency. Empty where the file does not say.
	Repository, Chart string

	also    []string  // other names that people know it by
	at      yaml.Node // where it begins
	version yaml.Node
	field   string // what the version is called there
	isTag   bool   // of a registry, in which there is no +
	blocked string // why the version alone does not decide what is deployed; ""
}

// Entries are the applications of a file, in its order.
func Entries(file []byte) ([]Entry, error) {
	_, entries, err := readEntries(file)
	return entries, err
}

// FindEntry is the application that the file knows by name: by its own name or,
// where there is none of that, by its whole image, its chart or its release.
//
// ErrNotFound: none. ErrAmbiguous: several.
func FindEntry(file []byte, name string) (Entry, error) {
	_, entry, err := findEntry(file, name)
	return entry, err
}

// SetEntry writes the version of the application that FindEntry finds, and gives
// the file's new text and the version that stood there. It refuses, as
// NotEditable, where another field beside the version decides.
func SetEntry(file []byte, name, version string) (out []byte, previous string, err error) {
	if err := CheckVersion(version); err != nil {
		return nil, "", err
	}
	t, entry, err := findEntry(file, name)
	if err != nil {
		return nil, "", err
	}
	if err := entry.Check(); err != nil {
		return nil, "", err
	}
	if entry.isTag && strings.Contains(version, "+") {
		return nil, "", fault.Usage(InvalidVersion, entry.at.Errorf("%s of %s: a tag has no +, and %q does", entry.field, entry.Name, version), versionHint)
	}
	if !entry.version.Exists() {
		return nil, "", refuse(NotFound, ErrNotFound, entry.at.Errorf("%s has no %s", entry.Name, entry.field), "Add it by hand once.")
	}
	out, err = replace(t, entry.version, version, text)
	if err != nil {
		return nil, "", err
	}
	return out, entry.Version, nil
}

// Check refuses an entry whose version alone does not decide what is deployed.
func (e Entry) Check() error {
	if e.blocked == "" {
		return nil
	}
	return notEditable(e.at.Errorf("%s of %s alone would not change what is deployed: %s", e.field, e.Name, e.blocked), byPath)
}

const byPath = "Change that by hand once, or name the value that decides by file and path."

func findEntry(file []byte, name string) (*yaml.Text, Entry, error) {
	t, entries, err := readEntries(file)
	if err != nil {
		return nil, Entry{}, err
	}
	for _, fits := range []func(Entry) bool{
		func(e Entry) bool { return e.Name == name },
		func(e Entry) bool { return slices.Contains(e.also, name) },
	} {
		found := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return !fits(e) })
		switch len(found) {
		case 0:
			continue
		case 1:
			return t, found[0], nil
		}
		return nil, Entry{}, refuse(Ambiguous, ErrAmbiguous,
			found[1].at.Errorf("%q fits several entries, also the one at %d:%d", name, found[0].at.Line(), found[0].at.Column()),
			"Use the name that only one of them has, or name the value by file and path.")
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	hint := "The entries are: " + listed(names) + "."
	if len(entries) == 0 {
		hint = "It is no kustomization with images, HelmRelease, OCIRepository, Argo CD Application or helmfile with releases; other values are named by file and path."
	}
	return nil, Entry{}, refuse(NotFound, ErrNotFound, yaml.Node{}.Errorf("no entry is called %q", name), hint)
}

func readEntries(file []byte) (*yaml.Text, []Entry, error) {
	t, err := yaml.Parse(file)
	if err != nil {
		return nil, nil, err
	}
	var entries []Entry
	for _, document := range t.Documents() {
		if read := formOf(document); read != nil {
			entries = append(entries, read(document)...)
		}
	}
	for i, e := range entries {
		if node := e.version.Target(); node.Kind() == yaml.Scalar {
			entries[i].Version = node.Value()
		}
		switch {
		case templated(entries[i].Version):
			entries[i].blocked = "it is filled in from elsewhere"
		case len(e.at.Merges()) > 0:
			entries[i].blocked = "what the entry merges (<<) may decide as well"
		}
		if templated(e.Repository) || templated(e.Chart) {
			entries[i].Repository, entries[i].Chart = "", ""
		}
	}
	return t, entries, nil
}

// templated reports whether a text is for Go templates, or for Flux to
// substitute.
func templated(text string) bool { return strings.Contains(text, "{{") || strings.Contains(text, "${") }

// formOf is how the entries of a document are read; nil: it has none.
func formOf(document yaml.Node) func(yaml.Node) []Entry {
	group, _, _ := strings.Cut(document.Get("apiVersion").Text(), "/")
	switch kind := document.Get("kind").Text(); {
	case group == "helm.toolkit.fluxcd.io" && kind == "HelmRelease":
		return helmRelease
	case group == "source.toolkit.fluxcd.io" && kind == "OCIRepository":
		return ociRepository
	case group == "kustomize.toolkit.fluxcd.io" && kind == "Kustomization":
		return func(n yaml.Node) []Entry { return images(n.Get("spec")) }
	case group == "argoproj.io" && kind == "Application":
		return func(n yaml.Node) []Entry { return sources(n, n.Get("spec")) }
	case group == "argoproj.io" && kind == "ApplicationSet":
		return func(n yaml.Node) []Entry { return sources(n, at(n, "spec", "template", "spec")) }
	case group == "kustomize.config.k8s.io", group == "" && (kind == "" || kind == "Kustomization") && document.Get("images").Exists():
		return images
	case group == "" && kind == "" && document.Get("releases").Exists():
		return helmfile
	}
	return nil
}

// at follows keys.
func at(n yaml.Node, keys ...string) yaml.Node {
	for _, key := range keys {
		n = n.Get(key)
	}
	return n
}

func images(n yaml.Node) []Entry {
	var entries []Entry
	for _, item := range n.Get("images").Items() {
		name, newName := item.Get("name").Text(), item.Get("newName").Text()
		e := Entry{Name: path.Base(name), at: item, version: item.Get("newTag"), field: "newTag", isTag: true}
		e.also = []string{name, newName, path.Base(newName)}
		if item.Get("digest").Text() != "" {
			e.blocked = "digest stands beside it, and goes first"
		}
		if strings.Contains(newName, "@") {
			e.blocked = "newName has a digest, which goes first"
		}
		entries = append(entries, e)
	}
	return entries
}

func helmRelease(n yaml.Node) []Entry {
	chart := at(n, "spec", "chart", "spec")
	if !chart.Exists() {
		return nil // its chartRef names another object, which has the version
	}
	e := Entry{
		Name: at(n, "metadata", "name").Text(), at: n, version: chart.Get("version"), field: ".spec.chart.spec.version",
		also: []string{at(n, "spec", "releaseName").Text(), chart.Get("chart").Text()},
	}
	if source := at(chart, "sourceRef", "kind").Text(); source == "GitRepository" || source == "Bucket" {
		e.blocked = "the chart of a " + source + " has the version that stands in it"
	}
	return []Entry{e}
}

func ociRepository(n yaml.Node) []Entry {
	spec := n.Get("spec")
	ref := spec.Get("ref")
	e := Entry{Name: at(n, "metadata", "name").Text(), at: n, version: ref.Get("tag"), field: ".spec.ref.tag", isTag: true}
	e.Repository, e.Chart = splitOCI(spec.Get("url").Text())
	e.also = []string{e.Chart}
	for _, first := range []string{"semver", "digest"} {
		if ref.Get(first).Text() != "" {
			e.blocked = first + " stands beside it, and goes first"
		}
	}
	return []Entry{e}
}

// splitOCI parts the address of a chart into repository and name.
func splitOCI(url string) (repository, name string) {
	rest, oci := strings.CutPrefix(url, "oci://")
	slash := strings.LastIndex(rest, "/")
	if !oci || slash < 0 {
		return "", ""
	}
	return "oci://" + rest[:slash], rest[slash+1:]
}

// sources are those of an Argo CD application that a version of it is in. The
// only one goes by the application's name; of several, each by its chart's or
// its repository's.
func sources(n, spec yaml.Node) []Entry {
	all := spec.Get("sources").Items()
	if one := spec.Get("source"); len(all) == 0 && one.Exists() {
		all = []yaml.Node{one}
	}
	all = slices.DeleteFunc(all, func(s yaml.Node) bool { return s.Get("chart").Text() == "" && !versioned(s) })
	var entries []Entry
	for _, s := range all {
		e := Entry{Name: at(n, "metadata", "name").Text(), at: s, version: s.Get("targetRevision"), field: "targetRevision"}
		address := s.Get("repoURL").Text()
		if e.Chart = s.Get("chart").Text(); e.Chart != "" {
			e.Repository = argoRepository(address)
		}
		e.also = []string{e.Chart, at(s, "helm", "releaseName").Text()}
		if len(all) > 1 {
			e.Name = cmp.Or(e.Chart, strings.TrimSuffix(path.Base(address), ".git"))
		}
		if mentions(at(n, "spec", "generators"), e.field) || strings.Contains(at(n, "spec", "templatePatch").Text(), e.field) {
			e.blocked = "a generator or templatePatch sets it, too"
		}
		entries = append(entries, e)
	}
	return entries
}

// mentions reports whether a key is written anywhere inside a node.
func mentions(n yaml.Node, key string) (found bool) {
	n.Walk(func(n yaml.Node) {
		found = found || n.Kind() == yaml.Mapping && n.Get(key).Exists()
	})
	return found
}

// versioned reports whether a source from Git is at a tag that is a version, and
// so not on a branch. One that others only take values from is none of it.
func versioned(source yaml.Node) bool {
	if source.Get("ref").Exists() && !source.Get("path").Exists() {
		return false
	}
	_, err := semver.StrictNewVersion(strings.TrimPrefix(source.Get("targetRevision").Text(), "v"))
	return err == nil
}

// argoRepository is a repository's address as a chart's dependency has it: Argo
// CD writes those of OCI registries without a scheme.
func argoRepository(url string) string {
	if url == "" || strings.Contains(url, "://") {
		return url
	}
	return "oci://" + url
}

func helmfile(n yaml.Node) []Entry {
	repositories := map[string]string{}
	for _, r := range n.Get("repositories").Items() {
		url := r.Get("url").Text()
		if r.Get("oci").Text() == "true" {
			url = "oci://" + strings.TrimPrefix(url, "oci://")
		}
		repositories[r.Get("name").Text()] = url
	}
	var entries []Entry
	for _, item := range n.Get("releases").Items() {
		e := Entry{Name: item.Get("name").Text(), at: item, version: item.Get("version"), field: "version"}
		address := item.Get("chart").Text()
		if e.Repository, e.Chart = splitOCI(address); e.Repository == "" {
			if repository, chart, ok := strings.Cut(address, "/"); ok && repositories[repository] != "" {
				e.Repository, e.Chart = repositories[repository], chart
			}
		}
		e.also = []string{path.Base(address)}
		if strings.HasPrefix(address, ".") || strings.HasPrefix(address, "/") {
			e.blocked = "the chart of a folder has the version that stands in it"
		}
		if template := item.Get("inherit"); template.Exists() && !e.version.Exists() {
			e.blocked = fmt.Sprintf("it inherits it, on line %d", template.Line())
		}
		entries = append(entries, e)
	}
	return entries
}
