package environment

import (
	"errors"
	"fmt"
	"io"

	"github.com/lockstep-cd/lockstep/internal/document"
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
	r := &reader{document.NewReader(name)}
	file := &Environments{Environments: []Environment{}}
	if root, ok := r.Root(text, MaxSize); ok {
		r.readFile(root, file)
	}
	if err := r.Err(); err != nil {
		return nil, fault.Usage(Invalid, err, "Correct the places named; lockstep environments check FILE looks again.")
	}
	return file, nil
}

// reader is a document.Reader that knows environments.
type reader struct{ *document.Reader }

// place is an environment and where its parts stand.
type place struct {
	Environment
	at, name, repository yaml.Node
	after                []yaml.Node
}

func (r *reader) readFile(root yaml.Node, file *Environments) {
	var places []*place
	r.Mapping(root, "the file",
		document.Required("apiVersion", document.Text(&file.APIVersion, document.OneOf(APIVersion))),
		document.Required("kind", document.Text(&file.Kind, document.OneOf(Kind))),
		document.Required("environments", r.List("environments", maxEnvironments, func(item yaml.Node) error {
			places = append(places, r.readEnvironment(item))
			return nil
		})),
	)
	for _, p := range places {
		file.Environments = append(file.Environments, p.Environment)
	}
	r.checkTogether(places)
}

func (r *reader) readEnvironment(n yaml.Node) *place {
	p := &place{at: n, Environment: Environment{Path: ".", Promotion: Manual, Delivery: ByCommit, Rollback: Manual}}
	p.name, p.repository = n.Get("name"), n.Get("repository")
	e, namespace := &p.Environment, document.Required
	if n.Get("file").Exists() {
		namespace = document.Optional
	}
	r.Mapping(n, "an environment",
		document.Required("name", document.Text(&e.Name, document.ParseName)),
		document.Required("repository", document.Text(&e.Repository, document.ParseRepository)),
		document.Optional("branch", document.Text(&e.Branch, document.ParseBranch)),
		document.Optional("path", document.Text(&e.Path, document.ParsePath)),
		document.Optional("file", document.Text(&e.File, document.ParseFile)),
		document.Optional("valuePath", document.Text(&e.ValuePath, parseValuePath)),
		namespace("namespace", document.Text(&e.Namespace, parseNamespace)),
		document.Optional("promotion", document.Text(&e.Promotion, document.OneOf(Auto, Manual, Never))),
		document.Optional("delivery", document.Text(&e.Delivery, document.OneOf(ByCommit, ByPullRequest))),
		document.Optional("after", r.List("after", maxEnvironments, func(item yaml.Node) error {
			p.after = append(p.after, item)
			e.After = append(e.After, "")
			return document.Text(&e.After[len(e.After)-1], parseReference)(item)
		})),
		document.Optional("soak", document.Text(&e.Soak, parseSoak)),
		document.Optional("windows", r.List("windows", maxWindows, func(item yaml.Node) error {
			e.Windows = append(e.Windows, r.readWindow(item))
			return nil
		})),
		document.Optional("frozen", document.Bool(&e.Frozen)),
		document.Optional("rollback", document.Text(&e.Rollback, document.OneOf(Auto, Manual))),
		document.Optional("recordKey", r.keys("recordKey", &e.RecordKey)),
	)
	if e.ValuePath != "" && !n.Get("file").Exists() {
		r.Fail(n.Get("valuePath"), "valuePath: it is a place in a file, and there is no file")
	}
	switch at := n.Get("rollback"); {
	case e.Rollback != Auto:
	case e.File != "":
		r.Fail(at, "rollback: another tool deploys this environment, so nobody here knows that a deployment failed")
	case e.Delivery == ByPullRequest:
		r.Fail(at, "rollback: it takes pull requests, which somebody has to look at")
	}
	if after := n.Get("after"); e.Soak > 0 && (!after.Exists() || after.Target().Kind() == yaml.Sequence && len(e.After) == 0) {
		r.Fail(n.Get("soak"), "soak: it counts from the verification in the environments of after, and there are none")
	}
	return p
}

func (r *reader) readWindow(n yaml.Node) Window {
	w := Window{Days: everyDay, Hours: wholeDay}
	r.Mapping(n, "a window",
		document.Optional("days", document.Text(&w.Days, parseDays)),
		document.Optional("hours", document.Text(&w.Hours, parseHours)),
		document.Optional("zone", document.Text(&w.Zone, parseZone)),
		document.Otherwise(daysWithoutQuotes),
	)
	if n.Target().Kind() == yaml.Mapping && !n.Get("days").Exists() && !n.Get("hours").Exists() {
		r.Fail(n, "a window needs days, hours or both")
	}
	return w
}

// daysWithoutQuotes knows what becomes of Mon,Wed between braces: YAML ends a
// value at the comma, and takes the second day for a key.
func daysWithoutQuotes(key string) string {
	if _, err := parseDays(key); err != nil {
		return ""
	}
	return fmt.Sprintf(`key %q in a window: a list of days stands in quotes between braces, as in days: "Mon,Wed"`, key)
}

// keys reads a public key or a list of them. A list of none would believe
// everybody, which nobody means who writes the key down.
func (r *reader) keys(key string, into *[]signature.PublicKey) func(yaml.Node) error {
	one := func(n yaml.Node) error {
		var k signature.PublicKey
		err := document.Text(&k, signature.ParsePublicKey)(n)
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
		return r.List(key, maxKeys, one)(n)
	}
}
