// Package promotion knows what a promotion is: an intent to have one value in
// a repository, not a patch of its text. An intent can be carried out on any
// state of a branch, so two promotions of different applications merge by
// construction, and a lost race is answered by doing it again on the new tip.
package promotion

import (
	"github.com/Masterminds/semver/v3"
)

// Kind says what an intent changes.
type Kind string

// The kinds of intents.
const (
	Dependency Kind = "dependency" // the version of a chart's dependency
	Value      Kind = "value"      // any value in a YAML file
)

// Intent is the wish to have To where From stood. Its JSON form, one object a
// line, is what bump-version leaves for commit.
type Intent struct {
	File       string `json:"file"` // slash-separated, from the repository's root
	Kind       Kind   `json:"kind"`
	Name       string `json:"name"` // of a Dependency: the chart; of a Value: its path
	Alias      string `json:"alias,omitempty"`
	Repository string `json:"repository,omitempty"`
	From       string `json:"from"`
	To         string `json:"to"`
	// Exact: somebody asked for exactly this version, even a lower one. Then
	// only a change of the value since From stands in the way.
	Exact bool `json:"exact,omitempty"`
}

// Application is the name that people know the changed part by.
func (i Intent) Application() string {
	if i.Alias != "" && i.Name == "" {
		return i.Alias
	}
	return i.Name
}

// Same reports whether two intents ask for the same value at the same place.
func (i Intent) Same(other Intent) bool {
	i.From, i.Exact = other.From, other.Exact
	return i == other
}

// Outcome is what became of a promotion.
type Outcome string

// The outcomes that this package gives, of the list that all programs share.
const (
	Promoted   Outcome = "promoted"
	Unchanged  Outcome = "unchanged"
	Superseded Outcome = "superseded"
	Waiting    Outcome = "waiting" // a gate is closed
	Opened     Outcome = "opened"  // a pull request is open
	Refused    Outcome = "refused"
	Failed     Outcome = "failed"
)

// decide holds an intent against the value that a branch has now. Without
// Exact a version only ever rises: whoever comes late with an older one has
// been overtaken. Where there is nothing to compare (ranges, names of images),
// only a value that nobody touched since is replaced.
func decide(i Intent, current string) Outcome {
	if current == i.To {
		return Unchanged
	}
	if i.Exact {
		return promotedIf(current == i.From)
	}
	now, errNow := semver.NewVersion(current)
	wanted, errWanted := semver.NewVersion(i.To)
	if errNow != nil || errWanted != nil {
		return promotedIf(current == i.From)
	}
	return promotedIf(!wanted.LessThan(now))
}

func promotedIf(ok bool) Outcome {
	if ok {
		return Promoted
	}
	return Superseded
}
