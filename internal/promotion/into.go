package promotion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// Promotion is one version of an application on its way into environments.
type Promotion struct {
	Application string // as trailers and records name it
	// Chart chooses the dependency that is the application.
	Chart   edit.Selector
	Version string // a semantic version
	// Exact: somebody asked for exactly this version, even a lower one.
	Exact bool
	// ByName: somebody asks for it at this moment, in this very environment.
	ByName bool
	// Add gives the application's chart, by Chart.Name and from Chart.Repository,
	// to those that do not have it.
	Add bool
	// Remove takes the application out, in the place of a version.
	Remove bool
	// from is what an Exact one that waited shall replace; "": what stands there.
	from string
	// follows: nobody asked for it, but an environment has verified it.
	follows bool
	// back: it brings back what was there.
	back bool

	// Mark makes or takes back a hold, in the place of a version.
	Mark Mark
	// Hold is that of Mark or, without, one that comes with the version.
	Hold Hold

	Changelog  string // subjects of the application's commits, one a line
	Source     string // repository@commit that the version was built from, or ""
	Run        string // namespace/name of the run that promotes, or ""
	BreakGlass string // why an environment with the strategy Never is promoted, or ""

	Author, Committer git.Signature
	// Key signs the commits; nil: nobody does.
	Key      *signature.Key
	Patience time.Duration // how long races may be lost; 0: two minutes
	// Published is asked, before anything is written, whether the chart's version
	// is where the environment takes it from. nil: nobody asks.
	Published func(context.Context, registry.ChartRef) error
}

// Into commits the version into one environment without a checkout: the branch's
// tip is fetched into memory, edited and pushed by compare-and-swap. Errors are
// those of Land; ErrNotFound of edit when the chart does not have the
// application.
func (p Promotion) Into(ctx context.Context, t Target) (Landed, error) {
	return (&writer{Promotion: p, target: t, repository: git.NewMemory()}).run(ctx)
}

// ChartOf chooses an application's chart: by name, which is the application's
// where none is given, or by its alias alone. To add it takes both, and where it
// comes from; that it is missing is a Usage fault.
func ChartOf(application string, chart edit.Selector, add bool) (edit.Selector, error) {
	if add && chart.Repository == "" {
		return chart, fault.Usage("ChartRepositoryMissing", errors.New("--add-missing needs --chart-repository"), "It is where the environment takes the chart from. Example: oci://registry.example.com/charts")
	}
	if chart.Name == "" && (chart.Alias == "" || add) {
		chart.Name = application
	}
	return chart, nil
}

func (p Promotion) message(t Target) Message {
	m := Message{Changelog: p.Changelog, Trailers: p.trailers(t)}
	switch {
	case p.Mark != "":
		m.Text = "chore: " + p.Hold.operation(p.Mark) + " " + strings.TrimSpace(cmp.Or(p.Application, "all applications")+" "+p.Hold.Version)
	case p.Remove:
		m.Text = "chore: remove " + p.Application
	case p.back:
		m.Text = fmt.Sprintf("chore: roll %s back to version %s", p.Application, p.Version)
		m.Trailers = append(m.Trailers, operationTrailer+operationRollback)
	default:
		m.Text = fmt.Sprintf("chore: promote %s to version %s", p.Application, p.Version)
	}
	if why := brief(p.Hold.Reason); why != "" && p.Mark != MarkRelease {
		m.Text += "\n\n" + why
	}
	return m
}

// first holds the promotion against the branch for the first time.
func (p Promotion) first(ctx context.Context, tree Tree, t Target) (Applied, error) {
	i, err := p.intent(t)
	if err != nil {
		return Applied{}, err
	}
	if i.From = p.from; i.From != "" {
		return Apply(ctx, tree, i)
	}
	return Begin(ctx, tree, i)
}

func (p Promotion) trailers(t Target) []string {
	return []string{
		environmentTrailer + t.Environment, applicationTrailer + p.Application,
		"Lockstep-Source: " + p.Source, "Lockstep-Run: " + p.Run, "Lockstep-Break-Glass: " + p.BreakGlass,
	}
}
