package forge

import (
	"cmp"
	"context"

	"github.com/drone/go-scm/scm"
)

// Status is what a program says about a commit.
type Status struct {
	Context string // whose status it is; a later one of the same name replaces it
	Success bool
	Text    string // one line
	URL     string // where to read more; "": the repository
}

// SetStatus puts a status on a commit.
func (r *Repository) SetStatus(ctx context.Context, commit string, s Status) error {
	state := scm.StateFailure
	if s.Success {
		state = scm.StateSuccess
	}
	_, _, err := r.scm.Repositories.CreateStatus(ctx, r.name, commit, &scm.StatusInput{
		State: state, Label: s.Context, Title: s.Context, Desc: s.Text, Target: cmp.Or(s.URL, r.link),
	})
	if err != nil {
		return r.explain("set the status "+s.Context, err)
	}
	return nil
}
