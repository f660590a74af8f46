package edit

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// Selector chooses one entry of a chart's dependencies. Empty fields do not
// narrow the choice; Name or Alias must be set.
type Selector struct {
	Name       string // the chart's name
	Alias      string // its alias; the chart's name chooses the entry without one
	Repository string // as written in the file; a slash at the end does not count
}

func (s Selector) String() string {
	words := make([]string, 0, 3)
	for _, field := range []struct{ name, value string }{{"name", s.Name}, {"alias", s.Alias}, {"repository", s.Repository}} {
		if field.value != "" {
			words = append(words, field.name+" "+field.value)
		}
	}
	return strings.Join(words, ", ")
}

func (s Selector) matches(d Dependency) bool {
	trim := func(url string) string { return strings.TrimRight(url, "/") }
	return (s.Name == "" || s.Name == d.Name) &&
		(s.Alias == "" || s.Alias == d.EffectiveName()) &&
		(s.Repository == "" || trim(s.Repository) == trim(d.Repository))
}

// SetDependency writes version into the one entry of `dependencies:` (of a
// Chart.yaml or requirements.yaml) that sel chooses, and gives the file's new
// text and the version that stood there. The same version again gives the text
// unchanged. A range that stood there is replaced by the exact version.
//
// ErrNotFound: no entry. ErrAmbiguous: several. ErrDuplicate: Helm would know
// two entries by one name, whichever was chosen.
func SetDependency(file []byte, sel Selector, version string) (out []byte, previous string, err error) {
	if err := CheckVersion(version); err != nil {
		return nil, "", err
	}
	t, node, err := versionOf(file, sel)
	if err != nil {
		return nil, "", err
	}
	out, err = replace(t, node, version, text)
	if err != nil {
		return nil, "", err
	}
	return out, node.Value(), nil
}

// DependencyVersion reads the version of the entry that sel chooses, with the
// errors of SetDependency.
func DependencyVersion(file []byte, sel Selector) (string, error) {
	_, node, err := versionOf(file, sel)
	if err != nil {
		return "", err
	}
	return node.Target().Value(), nil
}

func versionOf(file []byte, sel Selector) (*yaml.Text, yaml.Node, error) {
	if sel.Name == "" && sel.Alias == "" {
		return nil, yaml.Node{}, invalid("neither name nor alias says which dependency")
	}
	t, dependencies, err := parseDependencies(file)
	if err != nil {
		return nil, yaml.Node{}, err
	}
	chosen, _, err := Choose(dependencies, sel)
	if err != nil {
		return nil, yaml.Node{}, err
	}
	node, err := ownVersion(chosen)
	return t, node, err
}

// Choose finds the one entry that sel chooses and its place in the list, with
// the errors of SetDependency.
func Choose(dependencies []Dependency, sel Selector) (chosen Dependency, index int, err error) {
	var found []int
	for i, d := range dependencies {
		if sel.matches(d) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		return Dependency{}, 0, refuse(NotFound, ErrNotFound,
			listPlace(dependencies).Errorf("no dependency with %s", sel), "The entries are: "+effectiveNames(dependencies)+".")
	case 1:
		return dependencies[found[0]], found[0], nil
	}
	first, second := dependencies[found[0]], dependencies[found[1]]
	return Dependency{}, 0, refuse(Ambiguous, ErrAmbiguous,
		second.node.Errorf("%s fits several dependencies, also the one at %d:%d", sel, first.node.Line(), first.node.Column()),
		"Narrow the choice with alias ("+effectiveNames([]Dependency{first, second})+") or repository.")
}

// ownVersion is the entry's version where it stands in the entry itself: a
// merged one belongs to all entries that merge it.
func ownVersion(d Dependency) (yaml.Node, error) {
	if node := d.node.Get("version"); node.Exists() {
		return node, nil
	}
	if node := effective(d.node, "version", 0); node.Exists() {
		return yaml.Node{}, notEditable(node.Errorf("the version of %s comes from a merged mapping (<<)", d.EffectiveName()),
			"Give the dependency a version of its own.")
	}
	return yaml.Node{}, refuse(NotFound, ErrNotFound, d.node.Errorf("dependency %s has no version", d.EffectiveName()),
		"Add the version by hand once.")
}

func effectiveNames(dependencies []Dependency) string {
	names := make([]string, len(dependencies))
	for i, d := range dependencies {
		names[i] = d.EffectiveName()
	}
	return listed(names)
}

// mostListed bounds a list that somebody has to read.
const mostListed = 20

func listed(names []string) string {
	switch more := len(names) - mostListed; {
	case len(names) == 0:
		return "none"
	case more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostListed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// MaxVersion is the longest version, in bytes: a tag in an OCI registry, which
// is where charts live, has no more.
const MaxVersion = 128

// InvalidVersion is the fault reason of CheckVersion.
const InvalidVersion = "InvalidVersion"

// CheckVersion accepts exactly what Helm accepts as the version of a chart:
// a semantic version, also with a leading v or without its last numbers.
func CheckVersion(version string) error {
	if len(version) > MaxVersion {
		return fault.Usage(InvalidVersion, invalidVersion(version[:20]+"…"), versionHint)
	}
	if _, err := semver.NewVersion(version); err != nil {
		return fault.Usage(InvalidVersion, invalidVersion(version), versionHint)
	}
	return nil
}

const versionHint = "Example: 2.3.119 or 1.0.0-rc.1."
