package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/release"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// record writes the note and then ends the lease, which it also does when the
// note could not be written: others wait for the lease. A forge comes last: it
// may take its time, and says nothing that is not on record.
func record(ctx context.Context, c *config) error {
	client, err := cluster.Connect(ctx, c.Namespace)
	if err != nil {
		return err
	}
	lease, err := client.ReadLease(ctx, release.LeaseName(c.Release), c.Run)
	if err != nil {
		return err
	}
	c.complete(lease.Notes)
	e, written := note(ctx, c, client, lease)
	err = client.EndLease(ctx, release.LeaseName(c.Release), c.Run)
	switch {
	case err == nil:
		slog.InfoContext(ctx, "ended the lease", "run", c.Run)
	case errors.Is(err, cluster.ErrLeaseLost):
		slog.InfoContext(ctx, "this run holds no lease", "run", c.Run)
		err = nil
	}
	if err := errors.Join(written, err); err != nil {
		return err
	}
	return tellForge(ctx, c, e)
}

// complete takes what is not given from what helm-apply and verify noted on the
// lease: a pipeline cannot hand on the results of a task that failed in the middle.
func (c *config) complete(notes map[string]string) {
	c.Commit = cmp.Or(c.Commit, notes["commit"])
	c.Deployment = cmp.Or(c.Deployment, notes["deployment"])
	c.Verified = cmp.Or(c.Verified, notes["verification"])
	c.Reason = cmp.Or(c.Reason, notes["reason"])
	noted, _ := strconv.Atoi(notes["exit-code"]) // anything else is unknown
	c.ExitCode = cmp.Or(c.ExitCode, noted)
}

// note writes what became of the deployment into the note of its commit. Of a
// deployment without one the record is the zero value.
func note(ctx context.Context, c *config, client *cluster.Client, lease cluster.LeaseState) (e environment.Record, err error) {
	if c.Commit == "" {
		tellNothing(ctx, c, lease)
		return e, nil
	}
	commit, ok := git.ParseHash(c.Commit)
	if !ok {
		return e, fault.Usage("InvalidCommit", fmt.Errorf("commit %q is not 40 hex digits", c.Commit), "give helm-apply's result commit")
	}
	if c.URL == "" {
		return e, fault.Usage("InvalidParameters", errors.New("url is required to record a commit"), "")
	}
	key, keys, err := recordKey(c)
	if err != nil {
		return e, err
	}
	remote, err := git.NewRemote(c.URL, c.Access(0))
	if err != nil {
		return e, err
	}
	if e, err = describe(c, client, lease); err != nil {
		return e, err
	}
	known, err := remote.ReadNotes(ctx, commit)
	if err != nil {
		return e, fmt.Errorf("read the records of %s: %w", commit.Short(), err)
	}
	c.Record = string(e.State)
	if isKnown(ctx, known[commit], e, keys...) {
		slog.InfoContext(ctx, "this is on record already", "state", e.State, "commit", commit)
		return e, nil
	}
	line, err := e.Line(key)
	if err != nil {
		return e, fmt.Errorf("write the record of %s: %w", commit.Short(), err)
	}
	by := git.Signature{Name: c.AuthorName, Email: c.AuthorEmail, When: e.Finished}
	if err := remote.AppendNote(ctx, commit, line, by); err != nil {
		return e, fmt.Errorf("record the deployment of %s in %s: %w", commit.Short(), remote.URL(), err)
	}
	slog.InfoContext(ctx, "recorded", "state", e.State, "commit", commit, "note", "refs/notes/lockstep")
	return e, nil
}

// tellNothing says why there is no commit to record anything of.
func tellNothing(ctx context.Context, c *config, lease cluster.LeaseState) {
	switch {
	case lease.Lost:
		slog.WarnContext(ctx, "the lease was lost before helm-apply noted a commit: nothing to record", "run", c.Run)
	case lease.Held:
		slog.InfoContext(ctx, "nothing was deployed: nothing to record", "run", c.Run)
	default:
		slog.InfoContext(ctx, "this run holds no lease and left no note on it: nothing to record", "run", c.Run)
	}
}

// recordKey is the key that signs the record, and whose records count as
// known: with a key, only its own.
func recordKey(c *config) (*signature.Key, []signature.PublicKey, error) {
	key, err := c.Key()
	if err != nil || key == nil {
		return nil, nil, err
	}
	public, ok := key.Public()
	if !ok {
		return nil, nil, fault.Usage("SigningKeyInvalid", errors.New("records are signed with SSH keys, and the signing key is one of OpenPGP"),
			"Make a key with ssh-keygen -t ed25519.")
	}
	return key, []signature.PublicKey{public}, nil
}

// describe says what became of the deployment. Times are the cluster's: of the
// lease, and of its API server now.
func describe(c *config, client *cluster.Client, lease cluster.LeaseState) (environment.Record, error) {
	e := environment.Record{State: state(c), Environment: cmp.Or(c.Environment, c.Release), Commit: c.Commit, Run: c.Run, Applications: []environment.Application{}}
	e.Unhealthy = c.Verified == unhealthy
	if e.State == environment.Failed {
		e.ExitCode = c.ExitCode
	}
	e.Reason = reason(c, e.State, lease)
	history, err := historyOf(c, client)
	if err != nil {
		return e, err
	}
	if n := len(history); n > 0 {
		e.After, e.Installed = history[n-1].Number, history[n-1].Installed.UTC().Truncate(time.Second)
	}
	if deployed := revisionOf(c.Commit, history, lease); deployed != nil {
		e.After = 0
		e.Revision, e.Started = deployed.Number, deployed.Started.UTC().Truncate(time.Second)
		for _, a := range deployed.Applications() {
			e.Applications = append(e.Applications, environment.Application(a))
		}
	}
	if !lease.Since.IsZero() {
		e.Started = lease.Since.UTC().Truncate(time.Second)
	}
	e.Finished = client.Now().UTC().Truncate(time.Second)
	return e, nil
}

// reason is why a deployment failed, or was not verified.
func reason(c *config, state environment.State, lease cluster.LeaseState) string {
	lost := ""
	if lease.Lost {
		lost = "LeaseLost"
	}
	switch {
	case state == environment.Failed:
		return cmp.Or(c.Reason, lost)
	case state == environment.Deployed && c.Verified == "skipped (simulated)":
		return "SimulatedNodes"
	case state == environment.Deployed && c.Verified == "":
		return lost
	}
	return ""
}

// historyOf are the revisions of the release, oldest first.
func historyOf(c *config, client *cluster.Client) ([]release.Revision, error) {
	rel, err := release.Open(client, c.Release)
	if err != nil {
		return nil, err
	}
	return rel.History()
}

// revisionOf is the revision of a commit, nil when there is none. Without the lease
// another run may have deployed since: then it is not the last one.
func revisionOf(commit string, history []release.Revision, lease cluster.LeaseState) *release.Revision {
	for i := len(history) - 1; i >= 0; i-- {
		if history[i].Commit == commit {
			return &history[i]
		}
		if !lease.Lost {
			break
		}
	}
	return nil
}

// unhealthy is what verify notes where it failed for no other reason.
const unhealthy = "unhealthy"

// state is one word of the record's list. A deployment that was skipped or
// stopped has failed as well: it is not known to run.
func state(c *config) environment.State {
	switch {
	case c.Status != "Succeeded" && c.Status != "Completed", c.Deployment == "failed", c.Deployment == "", c.Verified == "failed", c.Verified == unhealthy:
		return environment.Failed
	case c.Deployment == "superseded":
		return environment.Superseded
	case c.Verified == "verified":
		return environment.Verified
	default:
		return environment.Deployed
	}
}

// isKnown reports whether the newest record says the same already: a repeated
// run, or one that found nothing to do, adds nothing.
func isKnown(ctx context.Context, note string, e environment.Record, keys ...signature.PublicKey) bool {
	records, warnings := environment.ParseRecords(e.Commit, note, keys...)
	for _, w := range warnings {
		slog.WarnContext(ctx, "a line of the note was not read", "why", w)
	}
	if len(records) == 0 {
		return false
	}
	newest := records[len(records)-1]
	return newest.State == e.State && newest.Environment == e.Environment && newest.Revision == e.Revision && newest.Commit == e.Commit &&
		(e.State != environment.Failed || newest.Run == e.Run)
}
