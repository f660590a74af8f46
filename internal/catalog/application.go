package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/application"
	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// ApplicationsFile stands beside environments.yaml.
const ApplicationsFile = "applications.yaml"

const applicationsList = "applications"

var noApplications = []byte("apiVersion: " + application.APIVersion + "\nkind: " + application.Kind + "\n" + applicationsList + ": []\n")

func (c Catalog) applications() document {
	return document{
		path:  path.Join(path.Dir(c.Path), ApplicationsFile),
		local: filepath.Join(filepath.Dir(c.Where), ApplicationsFile), empty: noApplications,
	}
}

// ApplicationsPlace is where applications.yaml is, without credentials.
func (c Catalog) ApplicationsPlace() (string, error) {
	if _, ok := c.file(); ok {
		return c.applications().local, nil
	}
	return c.Place()
}

// Applications are those that there are; nil where there is no file of them beside
// environments.yaml.
func (c Catalog) Applications(ctx context.Context) (*application.Applications, error) {
	d := c.applications()
	d.empty = nil
	text, err := c.text(ctx, d)
	if errors.Is(err, git.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		_, err = c.text(ctx, c.environments())
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	return application.Parse(ApplicationsFile, text)
}

// text reads a document as it is now.
func (c Catalog) text(ctx context.Context, d document) ([]byte, error) {
	if _, ok := c.file(); ok {
		f, err := c.readFile(d)
		return f.text, err
	}
	remote, err := c.Open(c.Where)
	if err != nil {
		return nil, err
	}
	_, _, text, err := c.fetch(ctx, remote, d)
	return text, err
}

// ApplicationRequest is a new application.
type ApplicationRequest struct {
	Name string
	From string      // another one, that gives what Keys leaves open, with the name exchanged; "": none
	Keys []edit.Pair // of its entry; a Value of nil: none, also where From has one
}

// AddApplication gives applications.yaml an application, whose repository has to be
// there, behind the one that it takes keys from. Where one of that name is there and
// says the same, nothing changes; one that says something else is a Refused fault
// ApplicationExists.
func (c Catalog) AddApplication(ctx context.Context, r ApplicationRequest) (Changed, error) {
	plan := c
	plan.DryRun = true
	if _, err := plan.addApplication(ctx, r, c.checkRepository); err != nil {
		return Changed{}, err
	}
	return c.addApplication(ctx, r, func(context.Context, application.Application) error { return nil })
}

func (c Catalog) addApplication(ctx context.Context, r ApplicationRequest, check func(context.Context, application.Application) error) (Changed, error) {
	return c.changeApplications(ctx, "add application", promotion.AddApplication, r.Name, func(text []byte, known *application.Applications) ([]byte, error) {
		pairs, shared, err := r.entry(known)
		if err != nil {
			return nil, err
		}
		if there, err := known.Find(r.Name); err == nil {
			return text, checkSame(there, pairs)
		}
		out, added, err := r.in(text, pairs, shared)
		if err != nil {
			return nil, err
		}
		return out, check(ctx, added)
	})
}

// in is the file with the new application, and that as it reads there.
func (r ApplicationRequest) in(text []byte, pairs []edit.Pair, shared []string) ([]byte, application.Application, error) {
	out, err := edit.AddItem(text, applicationsList, r.From, pairs)
	if err != nil {
		return nil, application.Application{}, err
	}
	all, err := parseApplications(out)
	if err != nil {
		if len(shared) > 0 {
			err = fault.Usage(application.Invalid, err, fmt.Sprintf("Nothing was changed. What %s has without its name in it would be shared, and is not taken over: %s.", r.From, strings.Join(shared, ", ")))
		}
		return nil, application.Application{}, err
	}
	added, err := all.Find(r.Name)
	return out, added, err
}

// checkSame compares what is read, not how it is written: a command may stand in lines
// of its own.
func checkSame(there application.Application, asked []edit.Pair) error {
	said := keysOf(there)
	for _, p := range asked {
		if folder, ok := p.Value.(string); ok && p.Key == "chartPath" {
			p.Value = path.Clean(folder)
		} else if p.Value == false {
			p.Value = nil
		}
		if p.Key != "name" && !slices.ContainsFunc(said, func(q edit.Pair) bool { return reflect.DeepEqual(p, q) }) {
			return fault.Refused("ApplicationExists", fmt.Errorf("%s is there, and not as it is asked for", there.Name), "lockstep edit application "+there.Name+" changes it.")
		}
	}
	return nil
}

// checkRepository finds what was mistyped before a pipeline does.
func (c Catalog) checkRepository(ctx context.Context, a application.Application) error {
	remote, err := c.Open(a.Repository)
	if err != nil {
		return err
	}
	if _, err = remote.Tip(ctx, a.Branch); errors.Is(err, git.ErrEmptyRepository) {
		return nil // its first push will be heard
	}
	return err
}

// SetApplication changes keys of an application, which has to be there; a Value of nil
// takes a key out.
func (c Catalog) SetApplication(ctx context.Context, name string, pairs []edit.Pair) (Changed, error) {
	return c.changeApplications(ctx, "edit application", promotion.EditApplication, name, func(text []byte, known *application.Applications) ([]byte, error) {
		if _, err := known.Find(name); err != nil {
			return nil, err
		}
		return edit.SetItem(text, applicationsList, name, pairs)
	})
}

// DeleteApplication takes an application out; one that is not there changes nothing.
// The environments keep its chart.
func (c Catalog) DeleteApplication(ctx context.Context, name string) (Changed, error) {
	return c.changeApplications(ctx, "delete application", promotion.DeleteApplication, name, func(text []byte, known *application.Applications) ([]byte, error) {
		if _, err := known.Find(name); err != nil {
			return text, nil
		}
		return edit.RemoveItem(text, applicationsList, name)
	})
}

// changeApplications edits applications.yaml. What comes of it must be one.
func (c Catalog) changeApplications(ctx context.Context, verb, operation, name string, do func([]byte, *application.Applications) ([]byte, error)) (Changed, error) {
	m := promotion.Message{Text: "chore: " + verb + " " + name, Trailers: promotion.AboutApplication(operation, name)}
	return c.changeDocument(ctx, c.applications(), m, func(text []byte) ([]byte, error) {
		known, err := application.Parse(ApplicationsFile, text)
		if err != nil {
			return nil, err
		}
		out, err := do(text, known)
		if err != nil {
			return nil, err
		}
		_, err = parseApplications(out)
		return out, err
	})
}

func parseApplications(changed []byte) (*application.Applications, error) {
	all, err := application.Parse(ApplicationsFile, changed)
	if err != nil {
		err = fault.Usage(application.Invalid, err, asItWouldBe)
	}
	return all, err
}

// entry are the keys of a new application: those that are given, and those of another
// one. The keys in shared are not taken from that.
func (r ApplicationRequest) entry(known *application.Applications) (pairs []edit.Pair, shared []string, err error) {
	from, err := r.from(known)
	if err != nil {
		return nil, nil, err
	}
	pairs = []edit.Pair{{Key: "name", Value: r.Name}}
	for _, other := range keysOf(from) {
		mine := exchanged(other, from.Name, r.Name)
		switch i := slices.IndexFunc(r.Keys, func(p edit.Pair) bool { return p.Key == other.Key }); {
		case i >= 0:
			pairs = append(pairs, r.Keys[i])
		case other.Value == nil:
		case slices.Contains(ownKeys, other.Key) && mine.Value == other.Value:
			shared = append(shared, other.Key)
		default:
			pairs = append(pairs, mine)
		}
	}
	return pairs, shared, nil
}

// from is what gives the keys that are left open: the other one or, for a new
// application, what each of them begins with.
func (r ApplicationRequest) from(known *application.Applications) (application.Application, error) {
	if r.From != "" {
		return known.Find(r.From)
	}
	_, err := known.Find(r.Name)
	return application.Application{AddMissing: err != nil}, nil
}

// keysOf are all keys of an application but its name, in the order of an entry. Those
// that it does not have are nil.
func keysOf(a application.Application) []edit.Pair {
	pairs := []edit.Pair{
		{Key: "repository", Value: a.Repository}, {Key: "branch", Value: a.Branch},
		{Key: "testImage", Value: a.TestImage}, {Key: "testCommand", Value: a.TestCommand},
		{Key: "imageBase", Value: a.ImageBase}, {Key: "imageFiles", Value: a.ImageFiles},
		{Key: "imageEntrypoint", Value: a.ImageEntrypoint}, {Key: "imageRepository", Value: a.ImageRepository},
		{Key: "chartPath", Value: a.ChartPath}, {Key: "chartRepository", Value: a.ChartRepository},
		{Key: "chartName", Value: a.ChartName}, {Key: "chartAlias", Value: a.ChartAlias},
		{Key: "addMissing", Value: a.AddMissing},
	}
	for i, p := range pairs {
		if value := reflect.ValueOf(p.Value); value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0 {
			pairs[i].Value = nil
		}
	}
	return pairs
}

// ownKeys are those in which two applications differ: what another one has there and
// does not carry its name would be shared with it. All of them are texts.
var ownKeys = []string{"repository", "imageRepository", "chartName", "chartAlias"}

var word = regexp.MustCompile(`[A-Za-z0-9-]+`)

// exchanged is another application's value with this one's name in the place of that
// one's.
func exchanged(other edit.Pair, before, after string) edit.Pair {
	rename := func(text string) string {
		return word.ReplaceAllStringFunc(text, func(w string) string {
			if w == before {
				return after
			}
			return w
		})
	}
	switch value := other.Value.(type) {
	case string:
		other.Value = rename(value)
	case []string:
		var now []string
		for _, text := range value {
			now = append(now, rename(text))
		}
		other.Value = now
	}
	return other
}
