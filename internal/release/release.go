// Package release deploys a chart as an ordinary Helm 3 release: helm list,
// status, history and rollback work on what it leaves. It renders and records
// through Helm's own actions; objects are applied by the cluster room.
//
// It does not know where a chart comes from, nor does it keep two deployments
// apart: whoever calls Recover, Deploy or Test holds the release's lease.
package release

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	helm "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Labels on the record of a release. The commit is believed only together with
// a matching revision: Helm hands labels on to the next revision, also to one
// that somebody made by hand.
const (
	CommitLabel   = "lockstep.dev/commit"
	RevisionLabel = "lockstep.dev/revision"
)

// Release is one release in the namespace of a client.
type Release struct {
	client  *cluster.Client
	name    string
	applier *cluster.Applier
	config  *action.Configuration
}

// Revision is one entry of a release's history.
type Revision struct {
	Number  int
	Status  string // Helm's word: deployed, failed, superseded, pending-upgrade …
	Commit  string // the Git commit it deployed, "" when that is not known
	Started time.Time
	// Installed is when the release was installed: its revisions are counted from there.
	Installed time.Time

	record *helm.Release
}

// Open prepares work on a release; it need not exist yet. Records are written
// on a connection that outlives the client's context by a moment, so that a
// stopped deployment is not left pending.
func Open(c *cluster.Client, name string) (*Release, error) {
	late, err := c.Detached()
	if err != nil {
		return nil, fmt.Errorf("open release %s: %w", name, err)
	}
	applier := c.Applier(name)
	return &Release{client: c, name: name, applier: applier, config: &action.Configuration{
		RESTClientGetter: c,
		KubeClient:       applier,
		Releases:         storage.Init(driver.NewSecrets(late.Secrets())),
		Log:              func(format string, args ...any) { slog.Debug(fmt.Sprintf(format, args...)) },
		HookOutputFunc: func(_, pod, container string) io.Writer {
			return &lineLog{attrs: []any{"pod", pod, "container", container}}
		},
	}}, nil
}

// Last is the newest revision, whatever became of it; nil when there is none.
func (r *Release) Last() (*Revision, error) {
	record, err := r.config.Releases.Last(r.name)
	return r.revision(record, err)
}

// Deployed is the newest revision that was deployed without an error; nil when
// there is none.
func (r *Release) Deployed() (*Revision, error) {
	record, err := r.config.Releases.Deployed(r.name)
	return r.revision(record, err)
}

// History is every revision that Helm still has, oldest first.
func (r *Release) History() ([]Revision, error) {
	records, err := r.config.Releases.History(r.name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of release %s: %w", r.name, err)
	}
	releaseutil.SortByRevision(records)
	var revisions []Revision
	for _, record := range records {
		revisions = append(revisions, revisionOf(record))
	}
	return revisions, nil
}

func (r *Release) revision(record *helm.Release, err error) (*Revision, error) {
	if errors.Is(err, driver.ErrReleaseNotFound) || errors.Is(err, driver.ErrNoDeployedReleases) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read release %s: %w", r.name, r.client.NamespaceError(err))
	}
	revision := revisionOf(record)
	return &revision, nil
}

func revisionOf(record *helm.Release) Revision {
	revision := Revision{
		Number: record.Version, Status: record.Info.Status.String(),
		Started: record.Info.LastDeployed.Time, Installed: record.Info.FirstDeployed.Time, record: record,
	}
	if isOurs(record) {
		revision.Commit = record.Labels[CommitLabel]
	}
	return revision
}

// isOurs reports whether this revision was made here, and not by a helm
// command that took over the labels.
func isOurs(record *helm.Release) bool {
	return record.Labels[RevisionLabel] == strconv.Itoa(record.Version)
}

// Manifest is what the revision rendered, without hooks.
func (v *Revision) Manifest() string { return v.record.Manifest }

// Objects are the objects of the revision, known to the cluster. A kind that the
// cluster no longer has is an unverified fault.
func (r *Release) Objects(v *Revision) ([]cluster.Object, error) {
	objects, gone, err := r.client.Applied(v.record.Manifest)
	if err == nil && len(gone) > 0 {
		err = fault.Unverified("KindMissing", fmt.Errorf("the cluster no longer has the kind of %s", strings.Join(gone, ", ")),
			"install the CustomResourceDefinition again, or take the object out of the chart")
	}
	return objects, err
}

// Drift compares the cluster with what the revision rendered.
func (r *Release) Drift(v *Revision) ([]cluster.Difference, error) {
	objects, gone, err := r.client.Applied(v.record.Manifest)
	if err != nil {
		return nil, fmt.Errorf("look for drift in release %s: %w", r.name, err)
	}
	differences, err := r.client.Compare(objects, objects)
	if err != nil {
		return nil, fmt.Errorf("look for drift in release %s: %w", r.name, err)
	}
	for _, object := range gone {
		differences = append(differences, cluster.Difference{Object: object, Missing: true})
	}
	return differences, nil
}

// LeaseName is the Lease that whoever changes the release holds.
func LeaseName(release string) string { return "lockstep-" + release }
