package provision

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/application"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Source is an application in the cluster.
type Source struct {
	application.Application
	Remote *git.Remote
	Tip    git.Ref // of its branch; Hash is zero where it has no commit yet
}

// EnsureApplication lets pushes to an application's repository start its pipeline: it
// makes the Trigger and the webhook what they should be, and returns what it changed.
// The namespace, with the Pipeline and the secrets, is there already. A Trigger that
// another environments.yaml has made is a Refused fault TriggerTaken; a repository
// that is on no forge a usage fault.
func (s *Site) EnsureApplication(ctx context.Context, a Source) (changed []string, err error) {
	e := &ensuring{Site: s, runs: s.Applications}
	there, err := e.read(ctx, kindTrigger, a.Name)
	if err != nil {
		return nil, err
	}
	if there != nil && there.GetAnnotations()[ownedNote] == owner && !s.made(there) {
		return nil, fault.Refused("TriggerTaken", fmt.Errorf("trigger %s/%s is another environments.yaml's", s.Applications, a.Name),
			"Give the application another name; or delete that Trigger.")
	}
	of := s.Environments
	if there != nil && s.made(there) {
		of = there.GetAnnotations()[environmentsNote] // however that is written
	}
	err = e.hear(ctx, heard{
		of: "application", name: a.Name, remote: a.Remote, values: s.applicationValues(a, of),
		notes: map[string]string{environmentsNote: of, fileNote: s.file(), repositoryNote: a.Repository},
	})
	return e.changed, err
}

// made reports whether a Trigger is by our environments.yaml.
func (s *Site) made(trigger *unstructured.Unstructured) bool {
	notes := trigger.GetAnnotations()
	return notes[ownedNote] == owner && s.ours(notes[environmentsNote]) && notes[fileNote] == s.file()
}

func (s *Site) applicationValues(a Source, environments string) map[string]string {
	from := "" // as the environments have it
	if a.AddMissing {
		from = a.ChartRepository
	}
	values := map[string]string{
		"TEST_IMAGE": a.TestImage, "TEST_COMMAND": a.TestCommand,
		"IMAGE_BASE": a.ImageBase, "IMAGE_FILES": strings.Join(a.ImageFiles, "\n"), "IMAGE_ENTRYPOINT": strings.Join(a.ImageEntrypoint, "\n"),
		"IMAGE_REPOSITORY": a.ImageRepository,
		"CHART_PATH":       a.ChartFolder(), "CHART_REPOSITORY": a.ChartRepository,
		"CHART_NAME": a.ChartName, "CHART_ALIAS": a.ChartAlias,
		"ADD_MISSING": strconv.FormatBool(a.AddMissing), "ENVIRONMENTS_CHART_REPOSITORY": from,
		"INSECURE_REGISTRIES": strings.Join(s.Insecure, "\n"), "ENVIRONMENTS": environments, "ENVIRONMENTS_FILE": s.file(),
	}
	for key, value := range values {
		values[key] = quoted(value)
	}
	values["APPLICATIONS_NAMESPACE"], values["APPLICATION"] = s.Applications, a.Name
	values["BRANCH"], values["CLONE_URL"] = strings.TrimPrefix(a.Tip.Name, "refs/heads/"), a.Repository
	return values
}

// KnownApplications are those that have a Trigger by this environments.yaml, with the
// repository of each.
func (s *Site) KnownApplications(ctx context.Context) (map[string]string, error) {
	all, err := s.Client.List(ctx, kindTrigger, s.Applications, applicationLabel)
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	for i := range all {
		if s.made(&all[i]) {
			known[all[i].GetName()] = all[i].GetAnnotations()[repositoryNote]
		}
	}
	return known, nil
}

// RemoveApplication takes the Trigger of an application away, and its webhook unless
// remote is nil: another application may be in the same repository.
func (s *Site) RemoveApplication(ctx context.Context, name string, remote *git.Remote) (changed []string, err error) {
	trigger, err := s.Client.Get(ctx, kindTrigger, s.Applications, name)
	if err != nil || trigger == nil || !s.made(trigger) {
		return nil, err
	}
	changed = []string{"Trigger " + name}
	if s.DryRun {
		return changed, nil
	}
	// The note of the webhook is the Trigger's, so that goes last.
	if err := s.unhook(ctx, trigger, remote); err != nil {
		return nil, fmt.Errorf("let pushes of %s go unheard (where its webhook cannot be removed any more, delete trigger %s in %s): %w", name, name, s.Applications, err)
	}
	return changed, s.Client.Delete(ctx, kindTrigger, s.Applications, name)
}
