package promotion

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// holdsFile stands beside the file with the versions, so that a hold comes into
// force in the same commit as the rollback that it belongs to, and whoever is
// overtaken by it sees it when he tries again.
const holdsFile = ".lockstep/holds.json"

// Hold keeps promotions away that nobody asks for by name: those of an
// application or, without one, all. With a Version it is about that one only, and
// then also for those who ask for it: it was rejected.
type Hold struct {
	Application string    `json:"application,omitempty"` // as the environment names it
	Version     string    `json:"version,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	By          string    `json:"by,omitempty"`
	Since       time.Time `json:"since,omitzero"` // told by the clock of By; nothing is decided by it
}

// NewHold is one that begins now. What it is about is found out where it is made.
func NewHold(reason string, by git.Signature) Hold {
	return Hold{Reason: reason, By: by.Name + " <" + by.Email + ">", Since: time.Now().UTC().Truncate(time.Second)}
}

// Mark is a change of what may be promoted, in the place of a promotion.
type Mark string

// The marks.
const (
	MarkHold    Mark = "hold"
	MarkRelease Mark = "release" // of a Hold
)

// holds is the content of a holdsFile.
type holds struct {
	Holds []Hold `json:"holds"`
}

// holdsAt are those beside a file with versions, and where they are. What cannot
// be read could be any hold, so that is refused.
func holdsAt(tree Tree, versions string) (h holds, file string, err error) {
	file = path.Join(path.Dir(versions), holdsFile)
	text, err := readIfPresent(tree, file)
	if err != nil || text == nil {
		return holds{}, file, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a key with a typing error would hold something else
	err = decoder.Decode(&h)
	if err == nil && h.Holds == nil {
		err = errors.New("there is no list holds")
	}
	if err != nil {
		return holds{}, file, fault.Refused("HoldsUnreadable", fmt.Errorf("%s: %w", file, err),
			"Nothing is promoted while nobody knows what is held. Mend the file or, where nothing is held, remove it.")
	}
	return h, file, nil
}

func (h holds) index(of Hold) int {
	return slices.IndexFunc(h.Holds, func(other Hold) bool {
		return other.Application == of.Application && other.Version == of.Version
	})
}

// with are the holds and one more; ok is false where it is there.
func (h holds) with(one Hold) (_ holds, ok bool) {
	if h.index(one) >= 0 {
		return h, false
	}
	return holds{append(slices.Clone(h.Holds), one)}, true
}

// without are the holds and one less; ok is false where it is not there.
func (h holds) without(one Hold) (_ holds, ok bool) {
	at := h.index(one)
	if at < 0 {
		return h, false
	}
	return holds{slices.Delete(slices.Clone(h.Holds), at, at+1)}, true
}

// text is the file's content; nil: there is none.
func (h holds) text() ([]byte, error) {
	if len(h.Holds) == 0 {
		return nil, nil
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // people read it
	e.SetIndent("", "  ")
	err := e.Encode(h)
	return text.Bytes(), err
}

// restrain keeps back what a hold is about.
func restrain(tree Tree, a Applied) (Applied, error) {
	i := a.Intent
	h, file, err := holdsAt(tree, i.File)
	if err != nil || len(h.Holds) == 0 {
		return a, err
	}
	k, err := know(tree, i)
	if err != nil {
		return Applied{}, err
	}
	for _, one := range h.Holds {
		about := one.Application == "" || one.Application == k.name
		switch {
		case !about || one.Version != "" && one.Version != i.To:
		case !i.ByName:
			return Applied{Intent: i, Outcome: Waiting, Held: environment.Closed{Gate: environment.GateHold, Reason: one.reason(k.name)}}, nil
		case one.Version != "":
			return Applied{}, fault.Refused("VersionRejected", fmt.Errorf("%s: %s", file, one.reason(k.name)),
				"Choose another version; or take that back: lockstep release ENVIRONMENT "+k.name+" "+one.Version)
		}
	}
	return a, nil
}

// reason says in one line what is held and why. Whoever can push could have
// written the file.
func (h Hold) reason(application string) string {
	text := application + " is held"
	switch {
	case h.Version != "":
		text = application + " " + h.Version + " was rejected"
	case h.Application == "":
		text = "all applications are held"
	}
	if !h.Since.IsZero() {
		text += " since " + h.Since.UTC().Format("Mon 2006-01-02 15:04 MST")
	}
	if h.By != "" {
		text += " by " + h.By
	}
	if h.Reason != "" {
		text += ": " + h.Reason
	}
	return brief(text)
}

// applyMark makes or takes back a hold. One of an application that the
// environment does not have any more can be taken back.
func applyMark(tree Tree, i Intent) (Applied, error) {
	if i.Name != "" || i.Alias != "" {
		k, err := know(tree, i)
		switch {
		case i.Mark == MarkRelease && errors.Is(err, edit.ErrNotFound):
			k.name = i.Application()
		case err != nil:
			return Applied{}, err
		}
		i.Hold.Application = k.name
	}
	before, file, err := holdsAt(tree, i.File)
	if err != nil {
		return Applied{}, err
	}
	change := before.with
	if i.Mark == MarkRelease {
		change = before.without
	}
	after, changed := change(i.Hold)
	if !changed {
		return Applied{Intent: i, Outcome: Unchanged}, nil
	}
	text, err := after.text()
	return Applied{Intent: i, Outcome: Promoted, Files: map[string][]byte{file: text}}, err
}

// held is what was applied together with the hold that comes with it.
func held(tree Tree, a Applied) (Applied, error) {
	if a.Intent.Hold == (Hold{}) || a.Outcome != Promoted && a.Outcome != Unchanged {
		return a, nil
	}
	mark := a.Intent
	mark.Mark = MarkHold
	hold, err := applyMark(tree, mark)
	if err != nil || hold.Outcome != Promoted {
		return a, err
	}
	if a.Outcome = Promoted; a.Files == nil {
		a.Files = map[string][]byte{}
	}
	for file, text := range hold.Files {
		a.Files[file] = text
	}
	return a, nil
}

// Marked makes or takes back the Promotion's Hold in an environment. It is always a
// commit: a hold that waits for a review holds nothing.
func (e Everywhere) Marked(ctx context.Context, env environment.Environment) []Result {
	return e.each(ctx, []environment.Environment{env}, func(ctx context.Context, env environment.Environment, t Target) []Result {
		r := e.result(env.Name)
		r.Version = e.Hold.Version
		d, err := t.fetch(ctx)
		if err != nil {
			return []Result{r.failed(err)}
		}
		return []Result{e.landOn(ctx, d, d.named(e.Promotion), r)}
	})
}
