package edit

import (
	"fmt"

	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// Dependency is an entry of a chart's dependencies. Its JSON form is the one
// of Helm's own type, over which Helm computes the digest of a lock.
type Dependency struct {
	Name         string   `json:"name"`
	Version      string   `json:"version,omitempty"`
	Repository   string   `json:"repository"`
	Condition    string   `json:"condition,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	Enabled      bool     `json:"enabled,omitempty"`
	ImportValues []any    `json:"import-values,omitempty"`
	Alias        string   `json:"alias,omitempty"`

	node yaml.Node
}

// EffectiveName is the name under which Helm knows the sub-chart.
func (d Dependency) EffectiveName() string {
	if d.Alias != "" {
		return d.Alias
	}
	return d.Name
}

// Dependencies reads the entries of `dependencies:` of a Chart.yaml, a
// requirements.yaml or a lock; a file without that key has none. It refuses
// what SetDependency refuses.
func Dependencies(file []byte) ([]Dependency, error) {
	_, dependencies, err := parseDependencies(file)
	return dependencies, err
}

func parseDependencies(file []byte) (*yaml.Text, []Dependency, error) {
	t, dependencies, err := readDependencies(file)
	if err != nil {
		return nil, nil, err
	}
	if err := checkUnique(dependencies); err != nil {
		return nil, nil, err
	}
	return t, dependencies, nil
}

// readDependencies allows entries of one name, as locks have them: a lock
// knows no aliases.
func readDependencies(file []byte) (*yaml.Text, []Dependency, error) {
	t, err := yaml.Parse(file)
	if err != nil {
		return nil, nil, err
	}
	if len(t.Documents()) == 0 {
		return t, nil, nil
	}
	list := t.Documents()[0].Get("dependencies") // Helm reads the first document only
	if list.Exists() && list.Target().Kind() != yaml.Sequence && list.Type() != "!!null" {
		return nil, nil, notEditable(list.Errorf("dependencies is a %s, not a list", list.Target().Kind()), "")
	}
	if !list.Exists() || list.Type() == "!!null" {
		return t, nil, nil // which a digest tells from an empty list
	}
	dependencies := make([]Dependency, 0, len(list.Items()))
	for i, item := range list.Items() {
		d, err := readDependency(item)
		if err != nil {
			return nil, nil, notEditable(item.Errorf("dependency %d: %v", i+1, err), "")
		}
		dependencies = append(dependencies, d)
	}
	return t, dependencies, nil
}

func readDependency(item yaml.Node) (Dependency, error) {
	if item.Target().Kind() != yaml.Mapping {
		return Dependency{}, fmt.Errorf("a %s, not a mapping", item.Target().Kind())
	}
	word := func(key string) string { return effective(item, key, 0).Text() }
	d := Dependency{
		Name: word("name"), Version: word("version"), Repository: word("repository"),
		Condition: word("condition"), Alias: word("alias"), Enabled: word("enabled") == "true", node: item,
	}
	for _, tag := range effective(item, "tags", 0).Items() {
		d.Tags = append(d.Tags, tag.Text())
	}
	budget := maxData
	for _, value := range effective(item, "import-values", 0).Items() {
		converted, err := data(value, &budget)
		if err != nil {
			return Dependency{}, err
		}
		d.ImportValues = append(d.ImportValues, converted)
	}
	if d.Name == "" {
		return Dependency{}, fmt.Errorf("it has no name")
	}
	return d, nil
}

// maxMerges bounds how far merges of merges are followed.
const maxMerges = 16

// effective is the value of key in the entry itself or in what it merges.
func effective(item yaml.Node, key string, depth int) yaml.Node {
	if node := item.Get(key); node.Exists() || depth > maxMerges {
		return node
	}
	for _, merged := range item.Merges() {
		if node := effective(merged, key, depth+1); node.Exists() {
			return node
		}
	}
	return yaml.Node{}
}

// maxData is how many values import-values may expand to through aliases.
const maxData = 1000

func data(node yaml.Node, budget *int) (any, error) {
	if *budget--; *budget < 0 {
		return nil, fmt.Errorf("import-values expands to more than %d values", maxData)
	}
	node = node.Target()
	switch node.Kind() {
	case yaml.Sequence:
		list := []any{}
		for _, item := range node.Items() {
			value, err := data(item, budget)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.Mapping:
		m := map[string]any{}
		for _, pair := range node.Pairs() {
			value, err := data(pair.Value, budget)
			if err != nil {
				return nil, err
			}
			m[pair.Key.Text()] = value
		}
		return m, nil
	}
	return node.Data(), nil
}

// checkUnique refuses two entries that Helm knows by one name: it would take
// one of them, silently.
func checkUnique(dependencies []Dependency) error {
	seen := map[string]yaml.Node{}
	for _, d := range dependencies {
		if first, twice := seen[d.EffectiveName()]; twice {
			return refuse(Duplicate, ErrDuplicate,
				d.node.Errorf("dependency %q is defined twice, also at %d:%d", d.EffectiveName(), first.Line(), first.Column()),
				"Give one of them an alias of its own, or remove it.")
		}
		seen[d.EffectiveName()] = d.node
	}
	return nil
}

// listPlace is where errors about the list as a whole stand.
func listPlace(dependencies []Dependency) yaml.Node {
	if len(dependencies) == 0 {
		return yaml.Node{}
	}
	return dependencies[0].node
}

func invalidVersion(version string) error {
	return fmt.Errorf("%q is not a semantic version", version)
}
