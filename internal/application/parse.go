package application

import (
	"errors"

	"github.com/lockstep-cd/lockstep/internal/document"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// Bounds of a file. Lists may be written once and named in every application,
// so they are bounded as well.
const (
	MaxSize         = yaml.MaxSize // bytes; a parser takes no more
	MaxName         = document.MaxName
	maxApplications = 5000
	maxItems        = 50 // of imageFiles and imageEntrypoint
)

// Invalid is the fault reason of every error of Parse.
const Invalid = "ApplicationsInvalid"

// Parse reads applications.yaml; name is how messages call the file. The error
// is a usage fault that holds everything that is wrong with it, one line each:
// "name:line:column: what". What may hold credentials is never repeated.
func Parse(name string, text []byte) (*Applications, error) {
	r := &reader{document.NewReader(name)}
	file := &Applications{Applications: []Application{}}
	if root, ok := r.Root(text, MaxSize); ok {
		r.readFile(root, file)
	}
	if err := r.Err(); err != nil {
		return nil, fault.Usage(Invalid, err, "Correct the places named.")
	}
	return file, nil
}

// reader is a document.Reader that knows applications.
type reader struct{ *document.Reader }

// place is an application and where its parts stand.
type place struct {
	Application
	at, name, repository yaml.Node
	chart                string // ChartFolder; "" where it is wrong
}

func (r *reader) readFile(root yaml.Node, file *Applications) {
	var places []*place
	r.Mapping(root, "the file",
		document.Required("apiVersion", document.Text(&file.APIVersion, document.OneOf(APIVersion))),
		document.Required("kind", document.Text(&file.Kind, document.OneOf(Kind))),
		document.Required("applications", r.List("applications", maxApplications, func(item yaml.Node) error {
			places = append(places, r.readApplication(item))
			return nil
		})),
	)
	for _, p := range places {
		file.Applications = append(file.Applications, p.Application)
	}
	r.checkNames(places)
	r.checkPlaces(places)
}

func (r *reader) readApplication(n yaml.Node) *place {
	p := &place{at: n, name: n.Get("name"), repository: n.Get("repository")}
	a := &p.Application
	r.Mapping(n, "an application",
		document.Required("name", document.Text(&a.Name, document.ParseName)),
		document.Required("repository", document.Text(&a.Repository, line(document.ParseRepository))),
		document.Optional("branch", document.Text(&a.Branch, line(document.ParseBranch))),
		document.Required("testImage", document.Text(&a.TestImage, line(parseImage))),
		document.Required("testCommand", document.Text(&a.TestCommand, parseCommand)),
		document.Required("imageBase", document.Text(&a.ImageBase, line(parseImage))),
		document.Required("imageFiles", r.texts("imageFiles", &a.ImageFiles, line(parseFile))),
		document.Optional("imageEntrypoint", r.texts("imageEntrypoint", &a.ImageEntrypoint, line(parseArgument))),
		document.Required("imageRepository", document.Text(&a.ImageRepository, line(parseImageRepository))),
		document.Optional("chartPath", document.Text(&a.ChartPath, line(document.ParsePath))),
		document.Required("chartRepository", document.Text(&a.ChartRepository, line(parseChartRepository))),
		document.Optional("chartName", document.Text(&a.ChartName, line(parseChart))),
		document.Optional("chartAlias", document.Text(&a.ChartAlias, line(parseChart))),
		document.Optional("addMissing", document.Bool(&a.AddMissing)),
	)
	if written := n.Get("chartPath").Exists(); written && a.ChartPath != "" || !written && a.Name != "" {
		p.chart = a.ChartFolder()
	}
	return p
}

// texts reads a list that has at least one text in it. One without any says
// nothing that leaving it out does not.
func (r *reader) texts(key string, into *[]string, parse func(string) (string, error)) func(yaml.Node) error {
	return func(n yaml.Node) error {
		if n.Target().Kind() == yaml.Sequence && len(n.Items()) == 0 {
			return errors.New("a list of nothing; it has at least one item")
		}
		return r.List(key, maxItems, func(item yaml.Node) error {
			var text string
			err := document.Text(&text, parse)(item)
			*into = append(*into, text)
			return err
		})(n)
	}
}

// checkNames takes a name as it is written, valid or not, so that one fault is
// not reported twice.
func (r *reader) checkNames(places []*place) {
	known := map[string]*place{}
	for _, p := range places {
		name := p.name.Text()
		if first, twice := known[name]; twice && name != "" {
			r.Fail(p.name, "name: %s is the name of another application, on line %d", document.Quoted(name), first.name.Line())
			continue
		}
		known[name] = p
	}
}

// checkPlaces refuses two applications of one chart in one place: each push
// would publish it twice. A branch that is left out may be any.
func (r *reader) checkPlaces(places []*place) {
	type spot struct{ repository, chart string }
	type those struct {
		first    *place
		branches map[string]*place
	}
	seen := map[spot]those{}
	for _, p := range places {
		if p.Repository == "" || p.chart == "" {
			continue // it is wrong, which was said
		}
		at := spot{document.SameRepository(p.Repository), p.chart}
		there, known := seen[at]
		if !known {
			seen[at] = those{p, map[string]*place{p.Branch: p}}
			continue
		}
		other := there.branches[""]
		if p.Branch == "" {
			other = there.first
		}
		if same := there.branches[p.Branch]; same != nil {
			r.Fail(p.repository, "repository: the same repository, branch and chart path as of the application on line %d", same.at.Line())
			continue
		} else if other != nil {
			r.Fail(p.repository, "repository: the same repository and chart path as of the application on line %d; name the branch of both", other.at.Line())
		}
		there.branches[p.Branch] = p
	}
}
