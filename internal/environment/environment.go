// Package environment knows environments.yaml: which environments there are, how
// a version gets into each, and when. It decides whether a promotion may happen
// now; it does not promote, and it reads neither clocks nor Git: callers hand in
// the time and the deployment records.
package environment

import (
	"slices"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/signature"
)

// What every file says in its first two keys.
const (
	APIVersion = "lockstep.dev/v1alpha1"
	Kind       = "Environments"
)

// Strategy says who decides that a version is promoted.
type Strategy string

// The strategies.
const (
	Auto   Strategy = "Auto"   // every new release, once the gates are open
	Manual Strategy = "Manual" // a person who names the environment
	Never  Strategy = "Never"  // nobody, but for a reason that breaks the glass
)

// Delivery says how a promotion reaches the environment's branch.
type Delivery string

// The ways of delivery.
const (
	ByCommit      Delivery = "commit"
	ByPullRequest Delivery = "pull-request"
)

// Placeholder stands for the name of an application in File and ValuePath.
const Placeholder = "{application}"

// Environments is a file, with every default filled in. As JSON it is the same
// file again: Parse reads it.
type Environments struct {
	APIVersion   string        `json:"apiVersion"`
	Kind         string        `json:"kind"`
	Environments []Environment `json:"environments"`
}

// Environment is a repository with an umbrella chart, and the rules by which
// versions get into it.
type Environment struct {
	Name       string `json:"name"`             // DNS label, at most MaxName characters
	Repository string `json:"repository"`       // URL without credentials
	Branch     string `json:"branch,omitempty"` // "": the remote's HEAD
	Path       string `json:"path"`             // folder of Chart.yaml in the repository, or that File counts from
	// File has the versions where there is no chart: a file that another tool
	// deploys from. ValuePath is the place of the version in it, where it is none
	// that Lockstep knows. Placeholder stands for the application in both.
	File      string   `json:"file,omitempty"`
	ValuePath string   `json:"valuePath,omitempty"`
	Namespace string   `json:"namespace,omitempty"` // of the release; "" with File, where there need not be one
	Promotion Strategy `json:"promotion"`
	Delivery  Delivery `json:"delivery"`
	After     []string `json:"after,omitempty"` // names of environments
	Soak      Duration `json:"soak,omitzero"`
	Windows   []Window `json:"windows,omitempty"` // none: always
	Frozen    bool     `json:"frozen"`
	// Rollback is Auto where a deployment that fails brings back what was verified
	// last; Manual where somebody decides that.
	Rollback Strategy `json:"rollback,omitempty"`
	// RecordKey are the keys that its deployment records are signed with. With
	// any, gates believe no others; with none, every record.
	RecordKey []signature.PublicKey `json:"recordKey,omitempty"`
}

// Duration is written the way people write it: 2h, not 2h0m0s.
type Duration time.Duration

func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText gives the form that Parse reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// byName is the environment of that name, or nil.
func (e *Environments) byName(name string) *Environment {
	for i := range e.Environments {
		if e.Environments[i].Name == name {
			return &e.Environments[i]
		}
	}
	return nil
}

func (e *Environments) names() []string {
	names := make([]string, len(e.Environments))
	for i, env := range e.Environments {
		names[i] = env.Name
	}
	return names
}

// InOrder gives the environments in promotion order: each behind those of its
// after, and otherwise in the order of the file.
func (e *Environments) InOrder() []Environment {
	placed := map[string]bool{}
	ordered := make([]Environment, 0, len(e.Environments))
	for len(ordered) < len(e.Environments) {
		next := e.next(placed)
		if next == nil {
			break // a circle, which Parse refuses
		}
		placed[next.Name] = true
		ordered = append(ordered, *next)
	}
	return ordered
}

func (e *Environments) next(placed map[string]bool) *Environment {
	for i := range e.Environments {
		env := &e.Environments[i]
		waits := slices.ContainsFunc(env.After, func(name string) bool { return !placed[name] })
		if !placed[env.Name] && !waits {
			return env
		}
	}
	return nil
}
