// Package promotion knows what a promotion is: an intent to have one value in
// a repository, not a patch of its text. An intent can be carried out on any
// state of a branch, so two promotions of different applications merge by
// construction, and a lost race is answered by doing it again on the new tip.
package promotion

import (
	"cmp"
	"fmt"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/precedence"
)

// Kind says what an intent changes.
type Kind string

// The kinds of intents.
const (
	Dependency Kind = "dependency" // the version of a chart's dependency
	Entry      Kind = "entry"      // that of an application in a file of another tool: edit.Entry
	Value      Kind = "value"      // any value in a YAML file
	Removal    Kind = "removal"    // a chart's dependency is taken out
)

var kinds = []Kind{Dependency, Entry, Value, Removal}

// Intent is the wish to have To where From stood. Its JSON form, one object a
// line, is what bump-version leaves for commit.
type Intent struct {
	File       string `json:"file"` // slash-separated, from the repository's root
	Kind       Kind   `json:"kind"`
	Name       string `json:"name"` // of a Dependency: the chart; of an Entry: as the file calls it; of a Value: its path
	Alias      string `json:"alias,omitempty"`
	Repository string `json:"repository,omitempty"`
	// Of is the application that a Value is the version of, where it is one.
	Of   string `json:"of,omitempty"`
	From string `json:"from"`
	To   string `json:"to"`
	// Add: a chart that does not have the Dependency gets it.
	Add bool `json:"add,omitempty"`
	// Exact: somebody asked for exactly this version, even a lower one. Then
	// only a change of the value since From stands in the way.
	Exact bool `json:"exact,omitempty"`
	// ByName: somebody asks for it at this moment, in this very environment. Then no
	// hold keeps it back, and a version that was rejected is refused.
	ByName bool `json:"byName,omitempty"`
	// Mark: the Hold is made or taken back, and no value is set.
	Mark Mark `json:"mark,omitempty"`
	// Hold, without Mark, comes with the value.
	Hold Hold `json:"hold,omitzero"`
}

// Application is the name that people know the changed part by.
func (i Intent) Application() string {
	return cmp.Or(i.Of, i.Name, i.Alias)
}

// Same reports whether two intents ask for the same value at the same place.
func (i Intent) Same(other Intent) bool {
	i.From, i.Exact, i.ByName = other.From, other.Exact, other.ByName
	return i == other
}

// Outcome is what became of a promotion.
type Outcome string

// The outcomes that this package gives, of the list that all programs share.
const (
	Promoted   Outcome = "promoted"
	Removed    Outcome = "removed"
	RolledBack Outcome = "rolled-back"
	Held       Outcome = "held"
	Rejected   Outcome = "rejected"
	Released   Outcome = "released"
	Unchanged  Outcome = "unchanged"
	Superseded Outcome = "superseded"
	Waiting    Outcome = "waiting"  // a gate is closed, or it is held
	Opened     Outcome = "opened"   // a pull request is open
	Verified   Outcome = "verified" // it runs, and was found healthy
	Refused    Outcome = "refused"
	Failed     Outcome = "failed"
)

// versionRange is the reason of a Refused fault: a range that is there may stand for
// a higher version.
const versionRange = "VersionRange"

// decide holds an intent against the text that a branch has now, of which locked is
// what a lock beside it says, "" without one. Without Exact a version only ever
// rises: whoever comes late with an older one has been overtaken. Where there is
// nothing to compare, such as the word latest, only a text that nobody touched since
// is replaced. What may stand for a higher version already is a Refused fault
// VersionRange.
func decide(i Intent, current, locked string) (Outcome, error) {
	if current == i.To {
		return Unchanged, nil
	}
	if i.Exact {
		return promotedIf(current == i.From), nil
	}
	wanted, okWanted := precedence.Parse(i.To)
	now, okNow := precedence.Parse(current)
	if !okWanted || !okNow {
		return promotedIf(current == i.From), nil
	}
	meant := i.meant(now, locked)
	if meant.Range() && current != i.From {
		return Superseded, nil
	}
	switch wanted.Compare(meant) {
	case precedence.Lower:
		return Superseded, nil
	case precedence.Uncertain:
		return "", fault.Refused(versionRange,
			fmt.Errorf("%s: set version %s of %s: the range %s there may stand for a higher version already", i.File, i.To, i.Application(), current),
			"Set allow-downgrade, or name the environment with lockstep promote --env, to replace the range; or write one version there by hand once.")
	case precedence.Unknown:
		return promotedIf(current == i.From), nil
	}
	if now.Pinned(wanted) {
		return Unchanged, nil
	}
	return Promoted, nil
}

// meant is what a text stands for where the intent is about: the number of a chart's
// version may be a range, of which a lock has chosen one.
func (i Intent) meant(now precedence.Version, locked string) precedence.Version {
	if i.Kind != Value {
		now = now.AsRange()
	}
	if one, ok := precedence.Parse(locked); ok && now.Range() && now.Admits(one) {
		return one
	}
	return now
}

func promotedIf(ok bool) Outcome {
	if ok {
		return Promoted
	}
	return Superseded
}
