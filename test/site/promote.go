package site

import (
	"context"
	"fmt"
)

// Promote commits a version of an application into an environment with the Task
// promote, as somebody would by hand, and returns the commit's first digits.
func (s *Site) Promote(ctx context.Context, application, version string, e Environment) (string, error) {
	manifest, err := s.fill(promotionFile, map[string]string{
		"APPLICATIONS_NAMESPACE": s.Applications, "APPLICATION": application, "VERSION": version,
		"ENVIRONMENT": e.Name, "ENVIRONMENTS": s.RepositoryURL(environmentsRepository), "INSECURE_REGISTRIES": s.Registry,
	})
	if err != nil {
		return "", err
	}
	name, err := command{stdin: manifest}.run(ctx, "kubectl", "create", "-f", "-", "-o", "jsonpath={.metadata.name}")
	if err != nil {
		return "", err
	}
	var tr taskRun
	var ended condition
	if err := Until(ctx, "the end of TaskRun "+s.Applications+"/"+name, func(ctx context.Context) (bool, error) {
		err := s.Get(ctx, &tr, "taskrun", name, "-n", s.Applications)
		for _, c := range tr.Status.Conditions {
			if c.Type == "Succeeded" && c.Status != "Unknown" {
				ended = c
			}
		}
		return ended.Status != "", err
	}); err != nil {
		return "", err
	}
	if ended.Status != "True" {
		return "", fmt.Errorf("TaskRun %s/%s: %s: %s", s.Applications, name, ended.Reason, ended.Message)
	}
	for _, result := range tr.Status.Results {
		if result.Name == "outcomes" {
			return promotedCommit(fmt.Sprint(result.Value), e)
		}
	}
	return "", fmt.Errorf("TaskRun %s/%s named no outcomes", s.Applications, name)
}
