// Package application knows applications.yaml, which stands beside
// environments.yaml: which applications there are, and how a push to one's
// repository becomes an image and a chart. It builds nothing, and it reads
// neither Git nor registries.
package application

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"github.com/lockstep-cd/lockstep/internal/document"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// What every file says in its first two keys.
const (
	APIVersion = "lockstep.dev/v1alpha1"
	Kind       = "Applications"
)

// Applications is a file as it is written: what is left out is empty. As JSON
// it is the same file again: Parse reads it.
type Applications struct {
	APIVersion   string        `json:"apiVersion"`
	Kind         string        `json:"kind"`
	Applications []Application `json:"applications"`
}

// Application is a repository, or a part of one, that the pipeline builds.
type Application struct {
	Name            string   `json:"name"`                      // DNS label, at most MaxName characters
	Repository      string   `json:"repository"`                // URL without credentials
	Branch          string   `json:"branch,omitempty"`          // "": the remote's HEAD
	TestImage       string   `json:"testImage"`                 // with the application's own tools
	TestCommand     string   `json:"testCommand"`               // for /bin/sh; one line or several
	ImageBase       string   `json:"imageBase"`                 // what ImageFiles are put onto
	ImageFiles      []string `json:"imageFiles"`                // source:target, with an absolute target
	ImageEntrypoint []string `json:"imageEntrypoint,omitempty"` // none: the base's
	ImageRepository string   `json:"imageRepository"`           // without tag
	ChartPath       string   `json:"chartPath,omitempty"`       // see ChartFolder
	ChartRepository string   `json:"chartRepository"`           // oci://, https:// or http://
	// ChartName and ChartAlias say which dependency of the environments' charts
	// it is. With neither, the one of its name.
	ChartName  string `json:"chartName,omitempty"`
	ChartAlias string `json:"chartAlias,omitempty"`
	// AddMissing adds the chart, from ChartRepository, to environments that take new
	// versions by themselves and do not have it.
	AddMissing bool `json:"addMissing,omitempty"`
}

// ChartFolder is the folder of its chart in its repository: ChartPath, or
// charts/<name>.
func (a Application) ChartFolder() string { return cmp.Or(a.ChartPath, path.Join("charts", a.Name)) }

// Find is the application of this name. An unknown name is a usage fault
// UnknownApplication.
func (a *Applications) Find(name string) (Application, error) {
	i := slices.IndexFunc(a.Applications, func(one Application) bool { return one.Name == name })
	if i < 0 {
		return Application{}, fault.Usage("UnknownApplication",
			fmt.Errorf("there is no application %s; %s", document.Quoted(name), document.Suggest(name, a.names())), "")
	}
	return a.Applications[i], nil
}

func (a *Applications) names() []string {
	names := make([]string, len(a.Applications))
	for i, one := range a.Applications {
		names[i] = one.Name
	}
	return names
}
