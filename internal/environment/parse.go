package environment

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// Bounds of a file. They keep small what aliases could make large: a list that
// is written once and named a thousand times.
const (
	MaxSize         = 256 << 10 // bytes
	maxEnvironments = 500
	maxWindows      = 20
	maxKeys         = 10
	maxFaults       = 50 // that are collected
)

// Invalid is the fault reason of every error of Parse.
const Invalid = "EnvironmentsInvalid"

// Read is Parse for what in holds; it reads no more than Parse takes.
func Read(name string, in io.Reader) (*Environments, error) {
	text, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	if err != nil {
		return nil, fault.Usage("FileNotRead", fmt.Errorf("read %s: %w", name, err), "")
	}
	return Parse(name, text)
}

// Parse reads environments.yaml; name is how messages call the file. The error
// is a usage fault that holds everything that is wrong with it, one line each:
// "name:line:column: what". A URL with credentials in it is never repeated.
func Parse(name string, text []byte) (*Environments, error) {
	r := &reader{file: name}
	file := r.read(text)
	if len(r.faults) > 0 {
		return nil, fault.Usage(Invalid, r.all(), "Correct the places named; lockstep environments check FILE looks again.")
	}
	return file, nil
}

// reader collects faults, so that one look shows all of them.
type reader struct {
	file   string
	faults []*yaml.Error
}

// full reports that there are more faults than anybody reads at once. Those
// behind are not even looked for: to suggest a name for each takes time.
func (r *reader) full() bool { return len(r.faults) > maxFaults }

func (r *reader) fail(at yaml.Node, format string, args ...any) {
	if r.full() {
		return
	}
	r.faults = append(r.faults, at.Errorf(format, args...))
}

// all joins the faults in the order of the text.
func (r *reader) all() error {
	slices.SortStableFunc(r.faults, func(a, b *yaml.Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	var all []error
	for i, f := range r.faults {
		if i == maxFaults {
			all = append(all, fmt.Errorf("%s: and more", r.file))
			break
		}
		all = append(all, fmt.Errorf("%s:%w", r.file, f))
	}
	return errors.Join(all...)
}

func (r *reader) read(text []byte) *Environments {
	if len(text) > MaxSize {
		r.fail(yaml.Node{}, "the file is larger than the %d bytes that are read", MaxSize)
		return nil
	}
	parsed, err := yaml.Parse(text)
	if place, ok := errors.AsType[*yaml.Error](err); ok {
		r.faults = append(r.faults, place)
		return nil
	}
	switch documents := parsed.Documents(); len(documents) {
	case 0:
		r.fail(yaml.Node{}, "the file is empty")
		return nil
	case 1:
		return r.readFile(documents[0])
	default:
		r.fail(documents[1], "a second document; a file holds one")
		return nil
	}
}

// place is an environment and where its parts stand.
type place struct {
	Environment
	at, name, repository yaml.Node
	after                []yaml.Node
}

func (r *reader) readFile(root yaml.Node) *Environments {
	file := &Environments{Environments: []Environment{}}
	var places []*place
	r.mapping(root, "the file",
		field{"apiVersion", true, scalar(&file.APIVersion, oneOf(APIVersion))},
		field{"kind", true, scalar(&file.Kind, oneOf(Kind))},
		field{"environments", true, r.list("environments", maxEnvironments, func(item yaml.Node) error {
			places = append(places, r.readEnvironment(item))
			return nil
		})},
	)
	for _, p := range places {
		file.Environments = append(file.Environments, p.Environment)
	}
	r.checkTogether(places)
	return file
}

func (r *reader) readEnvironment(n yaml.Node) *place {
	p := &place{at: n, Environment: Environment{Path: ".", Promotion: Manual, Delivery: ByCommit}}
	p.name, p.repository = n.Get("name"), n.Get("repository")
	e := &p.Environment
	r.mapping(n, "an environment",
		field{"name", true, scalar(&e.Name, parseName)},
		field{"repository", true, scalar(&e.Repository, parseRepository)},
		field{"branch", false, scalar(&e.Branch, parseBranch)},
		field{"path", false, scalar(&e.Path, parsePath)},
		field{"file", false, scalar(&e.File, parseFile)},
		field{"valuePath", false, scalar(&e.ValuePath, parseValuePath)},
		field{"namespace", !n.Get("file").Exists(), scalar(&e.Namespace, parseNamespace)},
		field{"promotion", false, scalar(&e.Promotion, oneOf(Auto, Manual, Never))},
		field{"delivery", false, scalar(&e.Delivery, oneOf(ByCommit, ByPullRequest))},
		field{"after", false, r.list("after", maxEnvironments, func(item yaml.Node) error {
			p.after = append(p.after, item)
			e.After = append(e.After, "")
			return scalar(&e.After[len(e.After)-1], parseReference)(item)
		})},
		field{"soak", false, scalar(&e.Soak, parseSoak)},
		field{"windows", false, r.list("windows", maxWindows, func(item yaml.Node) error {
			e.Windows = append(e.Windows, r.readWindow(item))
			return nil
		})},
		field{"frozen", false, boolean(&e.Frozen)},
		field{"recordKey", false, r.keys("recordKey", &e.RecordKey)},
	)
	if e.ValuePath != "" && !n.Get("file").Exists() {
		r.fail(n.Get("valuePath"), "valuePath: it is a place in a file, and there is no file")
	}
	if after := n.Get("after"); e.Soak > 0 && (!after.Exists() || after.Target().Kind() == yaml.Sequence && len(e.After) == 0) {
		r.fail(n.Get("soak"), "soak: it counts from the verification in the environments of after, and there are none")
	}
	return p
}

func (r *reader) readWindow(n yaml.Node) Window {
	w := Window{Days: everyDay, Hours: wholeDay}
	r.mapping(n, "a window",
		field{"days", false, scalar(&w.Days, parseDays)},
		field{"hours", false, scalar(&w.Hours, parseHours)},
		field{"zone", false, scalar(&w.Zone, parseZone)},
	)
	if n.Target().Kind() == yaml.Mapping && !n.Get("days").Exists() && !n.Get("hours").Exists() {
		r.fail(n, "a window needs days, hours or both")
	}
	return w
}

// field is a key of a mapping and how its value is read.
type field struct {
	key      string
	required bool
	read     func(yaml.Node) error
}

// mapping reads the fields of n; what names no field, and what is missing, is a
// fault.
func (r *reader) mapping(n yaml.Node, what string, fields ...field) {
	if n.Target().Kind() != yaml.Mapping {
		r.fail(n, "%s is a mapping of keys to values, not %s", what, describe(n))
		return
	}
	for _, pair := range n.Pairs() {
		i := slices.IndexFunc(fields, func(f field) bool {
			return pair.Key.Target().Kind() == yaml.Scalar && f.key == pair.Key.Target().Value()
		})
		if i < 0 || pair.Key.IsMerge() {
			r.unknownKey(pair.Key, what, fields)
			continue
		}
		if err := fields[i].read(pair.Value); err != nil {
			r.fail(pair.Value, "%s: %v", fields[i].key, err)
		}
	}
	for _, f := range fields {
		if f.required && !n.Get(f.key).Exists() {
			r.fail(n, "%s needs the key %s", what, f.key)
		}
	}
}

func (r *reader) unknownKey(at yaml.Node, what string, fields []field) {
	key := at.Target()
	if key.Kind() != yaml.Scalar || at.IsMerge() {
		r.fail(at, "%s has only keys that are written out", what)
		return
	}
	if r.full() {
		return
	}
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	if _, err := parseDays(key.Value()); err == nil && slices.Contains(keys, "days") {
		r.fail(at, `key %q in a window: a list of days stands in quotes between braces, as in days: "Mon,Wed"`, key.Value())
		return
	}
	r.fail(at, "%s has no key %s; %s", what, quoted(key.Value()), suggest(key.Value(), keys))
}

// list reads each item; what is wrong with one stands at the item.
func (r *reader) list(key string, most int, read func(yaml.Node) error) func(yaml.Node) error {
	return func(n yaml.Node) error {
		if n.Target().Kind() != yaml.Sequence {
			return fmt.Errorf("a list belongs here, not %s", describe(n))
		}
		items := n.Items()
		if len(items) > most {
			return fmt.Errorf("%d items, more than the %d that are read", len(items), most)
		}
		for _, item := range items {
			if err := read(item); err != nil {
				r.fail(item, "%s: %v", key, err)
			}
		}
		return nil
	}
}

// keys reads a public key or a list of them. A list of none would believe
// everybody, which nobody means who writes the key down.
func (r *reader) keys(key string, into *[]signature.PublicKey) func(yaml.Node) error {
	one := func(n yaml.Node) error {
		var k signature.PublicKey
		err := scalar(&k, signature.ParsePublicKey)(n)
		*into = append(*into, k)
		return err
	}
	return func(n yaml.Node) error {
		if n.Target().Kind() == yaml.Scalar {
			return one(n)
		}
		if n.Target().Kind() == yaml.Sequence && len(n.Items()) == 0 {
			return errors.New("a list of no keys; leave it out, and records need no signature")
		}
		return r.list(key, maxKeys, one)(n)
	}
}

// scalar reads a text. Numbers and dates are not taken for one: what YAML
// makes of 1e3 or 2026-01-01 is not what was written.
func scalar[T any](into *T, parse func(string) (T, error)) func(yaml.Node) error {
	return func(n yaml.Node) (err error) {
		if n = n.Target(); n.Kind() != yaml.Scalar || n.Type() != "!!str" {
			return fmt.Errorf("a text belongs here, not %s", describe(n))
		}
		*into, err = parse(n.Value())
		return err
	}
}

func boolean(into *bool) func(yaml.Node) error {
	return func(n yaml.Node) error {
		if n = n.Target(); n.Kind() != yaml.Scalar || n.Type() != "!!bool" {
			return fmt.Errorf("true or false belongs here, not %s", describe(n))
		}
		*into = strings.EqualFold(n.Value(), "true")
		if !*into && !strings.EqualFold(n.Value(), "false") { // !!bool yes
			return fmt.Errorf("true or false belongs here, not %s", quoted(n.Value()))
		}
		return nil
	}
}

// describe says what stands somewhere instead of what belongs there. It does
// not repeat it: it may be a URL with a password in the wrong place.
func describe(n yaml.Node) string {
	switch n = n.Target(); n.Type() {
	case "!!str":
		return "a text"
	case "!!int", "!!float":
		return "a number; a text of digits stands in quotes"
	case "!!bool":
		return "true or false; a text that reads so stands in quotes"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a date; a text that reads so stands in quotes"
	case "!!seq":
		return "a list"
	case "!!map":
		return "a mapping"
	}
	return "a value with a tag of its own"
}

// quoted shows a value in a message: cut, and not at all where it may be a URL
// with a password that stands in the wrong place.
func quoted(text string) string {
	if strings.Contains(text, "@") {
		return "(a text with @ in it)"
	}
	return fmt.Sprintf("%.60q", text)
}
