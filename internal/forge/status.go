package forge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/drone/go-scm/scm"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/redact"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// Status is what a program says about a commit.
type Status struct {
	Context string // whose status it is; a later one of the same name replaces it
	Success bool
	Text    string // one line; longer than 140 characters, it is cut
	URL     string // where to read more; "": the repository
}

// What a status may have at most, in characters.
const (
	longestText = 140 // GitHub
	longestKey  = 40  // Bitbucket
)

// SetStatus puts a status on a commit of 40 hex digits. Setting it twice is
// setting it once. Credentials in its text and URL are taken out.
func (r *Repository) SetStatus(ctx context.Context, commit string, s Status) error {
	s.Text = cut(redact.Text(strings.Join(strings.Fields(s.Text), " ")), longestText)
	s.URL = redact.Text(redact.URL(cmp.Or(s.URL, r.link)))
	if err := r.host.status(ctx, commit, s); err != nil {
		return r.explain("set the status "+s.Context, err)
	}
	return nil
}

func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// status sets it as go-scm does, which is right for all but two.
func (r *Repository) status(ctx context.Context, commit string, s Status) error {
	return r.statusAs(ctx, commit, s.Context, s)
}

func (r *Repository) statusAs(ctx context.Context, commit, key string, s Status) error {
	state := scm.StateFailure
	if s.Success {
		state = scm.StateSuccess
	}
	_, _, err := r.scm.Repositories.CreateStatus(ctx, r.name, commit, &scm.StatusInput{
		State: state, Label: key, Title: s.Context, Desc: s.Text, Target: s.URL,
	})
	return err
}

// status shortens a key that Bitbucket finds too long, so that two of them stay
// apart.
func (h onBitbucket) status(ctx context.Context, commit string, s Status) error {
	key := s.Context
	if len(key) > longestKey {
		sum := sha256.Sum256([]byte(key))
		key = fmt.Sprintf("%s-%x", key[:longestKey-9], sum[:4])
	}
	return h.statusAs(ctx, commit, key, s)
}

// status sends the text too, which go-scm leaves out for GitLab.
func (h onGitLab) status(ctx context.Context, commit string, s Status) error {
	in := map[string]string{"state": "failed", "name": s.Context, "description": s.Text, "target_url": s.URL}
	if s.Success {
		in["state"] = "success"
	}
	return call(ctx, h.scm, http.MethodPost, fmt.Sprintf("api/v4/projects/%s/statuses/%s", url.PathEscape(h.name), commit), in, nil)
}

// Insist does what is as good done twice, and does it again as long as ctx
// allows where the forge is busy, out of reach or does not answer; each try has a
// third of the time that is left. Other errors, and the last, are returned as
// they are. Without a deadline it is tried once.
func Insist(ctx context.Context, do func(context.Context) error) error {
	judge := func(err error) (after time.Duration, again bool) {
		if a, said := errors.AsType[*answer](err); said {
			after = a.after
		}
		return after, fault.Of(err).Kind == fault.KindRetryable
	}
	return retry.Policy{Of: "the forge"}.Do(ctx, judge, func(ctx context.Context) error {
		if end, bounded := ctx.Deadline(); bounded {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Until(end)/3)
			defer cancel()
		}
		return do(ctx)
	})
}
