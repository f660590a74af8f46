// Command bump-version sets one version in a checkout, byte for byte, and
// notes the intent, so that commit can do it again on a newer tip.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"slices"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Path       string  `param:"path" default:"." desc:"Folder of Chart.yaml in the checkout; or, with file, the one that it counts from. Example: env"`
	Name       string  `param:"name" desc:"Name of the dependency: the chart's name; with file, of the application there. Example: user-service"`
	Alias      string  `param:"alias" desc:"Alias of the dependency, where several have one name. Example: user"`
	Repository string  `param:"repository" desc:"Repository of the dependency as the file has it, where name and alias do not say which. Example: oci://registry.example.com/charts"`
	Version    string  `param:"version" desc:"Version to set: a semantic version. Example: 2.3.119"`
	File       string  `param:"file" desc:"File below path, instead of a chart: with name, a kustomization, HelmRelease, OCIRepository, Argo CD Application or helmfile; with value-path, any YAML file. Example: kustomization.yaml"`
	ValuePath  string  `param:"value-path" desc:"Place of the value in file. Example: .image.tag or .list[name=web].version"`
	Value      *string `param:"value" desc:"Value to set at value-path instead of version; any text. The flag --value='' sets an empty text, while an empty variable or Task parameter counts as not given. Example: sha-0a1b2c3"`
	Downgrade  bool    `param:"allow-downgrade" desc:"Whether to set a version that is lower than the one in the file. Otherwise that one stays and the outcome is superseded."`

	Source string `workspace:"source" required:"true" checkout:"true" desc:"Folder of the checkout, the one that holds .git."`

	Changed  string `result:"changed" desc:"true when a file was changed, else false."`
	Previous string `result:"previous" desc:"The value that stood there before."`
	Outcome  string `result:"outcome" desc:"promoted; unchanged: the version is there already; superseded: a higher one is; waiting: it is held."`
}

func main() {
	step.Main("bump-version", "set one version in a checkout and change no other byte", run)
}

func run(ctx context.Context, c *config) error {
	intent, err := c.intent()
	if err != nil {
		return err
	}
	checkout, err := promotion.OpenCheckout(c.Source)
	if err != nil {
		return err
	}
	defer checkout.Close()
	applied, err := promotion.Begin(ctx, checkout, intent)
	if err != nil {
		return err
	}
	repository, err := c.repository(ctx)
	if err != nil {
		return err
	}
	if applied.Outcome == promotion.Promoted {
		if err = write(checkout, repository, applied); err == nil {
			applied.Warn(ctx)
		}
	} else {
		applied, err = earlier(repository, applied)
	}
	if err != nil {
		return err
	}
	c.Previous, c.Outcome = applied.Intent.From, string(applied.Outcome)
	c.Changed = fmt.Sprint(applied.Outcome == promotion.Promoted)
	slog.InfoContext(ctx, c.Outcome, "file", applied.Intent.File, "name", applied.Intent.Application(),
		"from", applied.Intent.From, "to", applied.Intent.To, "reason", applied.Held.Reason)
	return nil
}

// intent reads the parameters as one of the things that can be asked for.
func (c *config) intent() (promotion.Intent, error) {
	switch {
	case c.File != "" && c.Name != "":
		return c.entryIntent()
	case c.File != "" || c.ValuePath != "" || c.Value != nil:
		return c.valueIntent()
	}
	if c.Name == "" && c.Alias == "" {
		return promotion.Intent{}, asked("neither name nor alias, nor file and value-path, say what to set")
	}
	if err := edit.CheckVersion(c.Version); err != nil {
		return promotion.Intent{}, err
	}
	return promotion.Intent{
		File: path.Join(c.Path, "Chart.yaml"), Kind: promotion.Dependency, Name: c.Name, Alias: c.Alias,
		Repository: c.Repository, To: c.Version, Exact: c.Downgrade,
	}, promotion.CheckPath(path.Join(c.Path, "Chart.yaml"))
}

func (c *config) entryIntent() (promotion.Intent, error) {
	if c.ValuePath != "" || c.Value != nil || c.Alias != "" || c.Repository != "" {
		return promotion.Intent{}, asked("of file, name alone chooses the application and version is what it gets: leave value-path, value, alias and repository out")
	}
	file := path.Join(c.Path, c.File)
	return promotion.Intent{File: file, Kind: promotion.Entry, Name: c.Name, To: c.Version, Exact: c.Downgrade},
		errors.Join(edit.CheckVersion(c.Version), promotion.CheckPath(file))
}

func (c *config) valueIntent() (promotion.Intent, error) {
	switch {
	case c.File == "" || c.ValuePath == "":
		return promotion.Intent{}, asked("file needs name or value-path, and value-path needs file")
	case c.Name != "" || c.Alias != "" || c.Repository != "":
		return promotion.Intent{}, asked("name, alias and repository choose a dependency; file and value-path a value: give one of both")
	case (c.Version == "") == (c.Value == nil):
		return promotion.Intent{}, asked("give either version or value")
	}
	value := c.Version
	if c.Value != nil {
		value = *c.Value
	} else if err := edit.CheckVersion(value); err != nil {
		return promotion.Intent{}, err
	}
	file := path.Join(c.Path, c.File)
	return promotion.Intent{
		File: file, Kind: promotion.Value, Name: c.ValuePath, To: value, Exact: c.Downgrade,
	}, promotion.CheckPath(file)
}

func asked(text string) error {
	return fault.Usage("InvalidParameters", errors.New(text), "bump-version --help lists the parameters.")
}

// repository is where the intent is noted, nil for a folder without Git.
func (c *config) repository(ctx context.Context) (*git.Repository, error) {
	repository, err := git.Open(c.Source)
	if errors.Is(err, git.ErrNotFound) {
		slog.WarnContext(ctx, "no Git checkout: the intent is not noted", "folder", c.Source)
		return nil, nil
	}
	return repository, err
}

// write notes the intent and changes the files. The note comes first: an
// intent whose change is missing is carried out by commit, while a change
// without its intent could not be replayed.
func write(checkout *promotion.Checkout, repository *git.Repository, applied promotion.Applied) error {
	if repository != nil {
		if err := promotion.Append(repository, applied.Intent); err != nil {
			return err
		}
	}
	for _, file := range slices.Sorted(maps.Keys(applied.Files)) {
		if err := checkout.Write(file, applied.Files[file]); err != nil {
			return err
		}
	}
	return nil
}

// earlier gives a repeated run the answer of the first: the change is noted
// and waits for commit.
func earlier(repository *git.Repository, applied promotion.Applied) (promotion.Applied, error) {
	if repository == nil || applied.Outcome != promotion.Unchanged {
		return applied, nil
	}
	intents, err := promotion.Read(repository)
	if err != nil {
		return applied, err
	}
	for _, noted := range intents {
		if noted.Same(applied.Intent) {
			applied.Intent.From, applied.Outcome = noted.From, promotion.Promoted
		}
	}
	return applied, nil
}
