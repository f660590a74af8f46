package release

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"time"

	"helm.sh/helm/v3/pkg/action"
	helm "helm.sh/helm/v3/pkg/release"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// maxHistory is Helm's own default for the revisions it keeps.
const maxHistory = 10

// Deployment is what shall run.
type Deployment struct {
	Chart   *chart.Chart
	Values  map[string]any
	Commit  string        // kept with the revision; "" when there is none
	Timeout time.Duration // for each hook of the chart
}

// verb is what Helm has to do.
type verb int

const (
	install verb = iota
	reinstall
	upgrade
)

// next decides how the revision after last comes about, and its number.
func next(last *Revision) (verb, int) {
	switch {
	case last == nil:
		return install, 1
	case last.record.Info.Status == helm.StatusUninstalled:
		return reinstall, last.Number + 1
	default:
		return upgrade, last.Number + 1
	}
}

// Unchanged reports whether the revision deployed this commit with these
// values and came to its end. It does not look at the cluster: Drift does.
func (v *Revision) Unchanged(d Deployment) bool {
	return v != nil && d.Commit != "" && v.Commit == d.Commit &&
		v.record.Info.Status == helm.StatusDeployed && sameValues(v.record.Config, d.Values)
}

func sameValues(a, b map[string]any) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(normal(a), normal(b))
}

// Deploy installs or upgrades and returns the new revision's number, 0 when
// none was recorded. It does not wait until what it applied is healthy. A
// revision that fails is recorded as failed; deploying again goes on from it.
func (r *Release) Deploy(d Deployment) (int, error) {
	last, err := r.Last()
	if err != nil {
		return 0, err
	}
	if err := r.readRecords(); err != nil {
		return 0, err
	}
	check := &inspector{namespace: r.client.Namespace()}
	how, number := next(last)
	record, err := r.run(how, newInstall(r.config, r.name, r.client.Namespace(), how, number, d, check), newUpgrade(r.config, r.client.Namespace(), number, d, check), d)
	if err != nil {
		return r.recorded(number), r.explain(err, d, check)
	}
	return record.Version, nil
}

// recorded is number if a failed deployment got as far as recording it, else 0.
func (r *Release) recorded(number int) int {
	if last, err := r.Last(); err == nil && last != nil && last.Number == number {
		return number
	}
	return 0
}

func (r *Release) run(how verb, in *action.Install, up *action.Upgrade, d Deployment) (*helm.Release, error) {
	if how == upgrade {
		return up.Run(r.name, d.Chart, d.Values)
	}
	return in.Run(d.Chart, d.Values)
}

func newInstall(config *action.Configuration, name, namespace string, how verb, number int, d Deployment, check *inspector) *action.Install {
	in := action.NewInstall(config)
	in.ReleaseName, in.Namespace = name, namespace
	in.Replace = how == reinstall
	in.Timeout = d.Timeout
	in.Labels = labels(d.Commit, number, false)
	in.Description = description(d.Commit)
	in.PostRenderer = check
	return in
}

func newUpgrade(config *action.Configuration, namespace string, number int, d Deployment, check *inspector) *action.Upgrade {
	up := action.NewUpgrade(config)
	up.Namespace = namespace
	up.Timeout = d.Timeout
	up.MaxHistory = maxHistory
	// The values in Git are all the values: nothing of the last revision's may stay.
	up.ResetValues = true
	up.Labels = labels(d.Commit, number, true)
	up.Description = description(d.Commit)
	up.PostRenderer = check
	return up
}

// labels are the marks of a revision. An upgrade inherits those of the last
// one; "null" is Helm's way to take a label away.
func labels(commit string, number int, inherits bool) map[string]string {
	if commit == "" && inherits {
		commit = "null"
	}
	marks := map[string]string{RevisionLabel: strconv.Itoa(number)}
	if commit != "" {
		marks[CommitLabel] = commit
	}
	return marks
}

func description(commit string) string {
	if commit == "" {
		return "Deployed by Lockstep"
	}
	return "Deployed commit " + commit
}

// readRecords gives the applier the manifests on record, and the objects of
// failed revisions since the last good one: Helm compares only with that one
// and would forget them.
func (r *Release) readRecords() error {
	history, err := r.History()
	if err != nil {
		return err
	}
	r.applier.Leftovers, r.applier.Recorded = nil, map[string]bool{}
	for _, revision := range history {
		r.applier.Recorded[revision.record.Manifest] = true
		if revision.record.Info.Status == helm.StatusDeployed {
			r.applier.Leftovers = nil
		}
		if revision.record.Info.Status != helm.StatusFailed {
			continue
		}
		infos, err := r.applier.Build(reader(revision.record.Manifest), false)
		if err != nil {
			slog.Warn("objects of a failed revision may be left, since it cannot be read", "revision", revision.Number, "error", err)
		}
		r.applier.Leftovers = append(r.applier.Leftovers, infos...)
	}
	return nil
}

// Plan says what Deploy would change, without changing anything. The values of
// Secrets are hidden.
func (r *Release) Plan(d Deployment) ([]cluster.Difference, error) {
	last, err := r.Last()
	if err != nil {
		return nil, err
	}
	if err := r.readRecords(); err != nil {
		return nil, err
	}
	check := &inspector{namespace: r.client.Namespace()}
	how, number := next(last)
	in := newInstall(r.config, r.name, r.client.Namespace(), how, number, d, check)
	up := newUpgrade(r.config, r.client.Namespace(), number, d, check)
	in.DryRun, in.DryRunOption = true, "server"
	up.DryRun, up.DryRunOption = true, "server"
	record, err := r.run(how, in, up, d)
	if err != nil {
		return nil, r.explain(err, d, check)
	}
	objects, err := r.client.Objects(record.Manifest)
	if err != nil {
		return nil, r.explain(err, d, check)
	}
	var before []cluster.Object
	if deployed, err := r.Deployed(); err != nil {
		return nil, err
	} else if deployed != nil {
		if before, _, err = r.client.Applied(deployed.record.Manifest); err != nil {
			return nil, err
		}
	}
	differences, err := r.client.Compare(objects, before)
	if err != nil {
		return nil, r.explain(err, d, check)
	}
	return differences, nil
}

// explain says what an error of Helm's means, without any value that is secret.
func (r *Release) explain(err error, d Deployment, check *inspector) error {
	err = cluster.Conceal(err, slices.Concat(check.secrets, d.secretValues()))
	err = fmt.Errorf("deploy release %s: %w", r.name, r.client.NamespaceError(err))
	if ended := r.client.Ended(); ended != nil && !errors.Is(err, ended) {
		err = fmt.Errorf("%w: %w", err, ended)
	}
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return err
	case !check.passed && !cluster.IsAnswer(err):
		return fault.Refused("ChartInvalid", err, "`helm template` with the same values shows the same on a laptop")
	case cluster.IsRefusal(err):
		return fault.Refused("ObjectRefused", err, "The API server says what is wrong with which object: correct the chart or the values, or the policy that denies it.")
	default:
		return fault.Retryable("DeployFailed", err, "")
	}
}
