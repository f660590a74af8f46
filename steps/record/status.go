package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// tellForge sets the commit status, within a time of its own. A forge that does
// not take it leaves it missing, which is told and is no failure: what was
// deployed is on record. Only a signal is an error.
func tellForge(ctx context.Context, c *config, e environment.Record) error {
	status, said := statusOf(e)
	if !c.WithStatus || !said {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, c.StatusTimeout)
	defer cancel()
	err := setStatus(bounded, c, status)
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	if err != nil {
		c.CommitStatus = "missing"
		f := fault.Of(err)
		slog.WarnContext(ctx, "the commit status is missing; the deployment is on record all the same", "status", status.Context, "commit", e.Commit,
			"reason", f.Reason, "error", err, "what-to-do", f.Hint+" Then run record again with the same parameters: it adds nothing to the note.")
		return nil
	}
	c.CommitStatus = "set"
	slog.InfoContext(ctx, "set the commit status", "status", status.Context, "success", status.Success, "text", status.Text)
	return nil
}

func setStatus(ctx context.Context, c *config, s forge.Status) (err error) {
	if s.URL, err = runURL(c.RunURL, c.Run); err != nil {
		return err
	}
	remote, err := git.NewRemote(c.URL, c.Access(0))
	if err != nil {
		return err
	}
	return forge.Insist(ctx, func(ctx context.Context) error {
		on, err := forge.On(ctx, remote, forge.Kind(c.Forge))
		if err != nil {
			return err
		}
		return on.SetStatus(ctx, c.Commit, s)
	})
}

// statusOf is what a record says on the commit's page; said is false when that
// is nothing. A commit that was superseded was not tried: neither success nor
// failure is true of it.
func statusOf(e environment.Record) (s forge.Status, said bool) {
	s.Context = "lockstep/" + e.Environment
	switch e.State {
	case environment.Verified:
		s.Success, s.Text = true, "verified: "+extent(e)
	case environment.Deployed:
		// Its tick is green: that nobody verified it is how the pipeline is made, and a
		// status that stays pending would keep requests from being merged.
		s.Success, s.Text = true, "deployed, not verified: "+extent(e)
		if e.Reason != "" {
			s.Text = "deployed, not verified (" + e.Reason + "): " + extent(e)
		}
	case environment.Failed:
		s.Text = "failed"
		if e.Reason != "" {
			s.Text += ": " + e.Reason
		}
	default:
		return s, false
	}
	return s, true
}

// extent is how much was deployed, and in which time where both ends are known.
func extent(e environment.Record) string {
	text := fmt.Sprintf("%d applications", len(e.Applications))
	if len(e.Applications) == 1 {
		text = "1 application"
	}
	if e.Started.IsZero() || e.Finished.Before(e.Started) {
		return text
	}
	took := e.Finished.Sub(e.Started)
	if took < time.Minute {
		return fmt.Sprintf("%s in %d s", text, int(took.Seconds()))
	}
	return fmt.Sprintf("%s in %d min %d s", text, int(took.Minutes()), int(took.Seconds())%60)
}

// runURL is the page of a run namespace/name; "" without a template, and for a
// run that is in no namespace, such as one on a laptop.
func runURL(template, run string) (string, error) {
	namespace, name, ok := strings.Cut(run, "/")
	if template == "" || !ok {
		return "", nil
	}
	page := strings.NewReplacer("{namespace}", url.PathEscape(namespace), "{name}", url.PathEscape(name)).Replace(template)
	if u, err := url.Parse(page); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", fault.Usage("InvalidParameters", errors.New("run-url is no address of a web page"),
			"Give it with https:// and, in their places, {namespace} and {name}.")
	}
	return page, nil
}
