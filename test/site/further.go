package site

import "context"

// Add sets further environments up as Install does those of the site, except
// that their first commit deploys nothing: the first promotion does.
func (s *Site) Add(ctx context.Context, environments ...Environment) error {
	var namespaces []string
	for _, e := range environments {
		if err := s.AddRepository(ctx, e); err != nil {
			return err
		}
		if err := s.applyEnvironment(ctx, e); err != nil {
			return err
		}
		namespaces = append(namespaces, e.RunNamespace())
	}
	if err := s.awaitListeners(ctx, namespaces); err != nil {
		return err
	}
	for _, e := range environments {
		if err := s.connect(ctx, e.Repository(), e.RunNamespace()); err != nil {
			return err
		}
	}
	return nil
}

// AddRepository makes an environment that is nowhere deployed: its repository
// with the first commit.
func (s *Site) AddRepository(ctx context.Context, e Environment) error {
	if err := s.Gitea.repository(ctx, s.Owner, e.Repository()); err != nil {
		return err
	}
	return s.pushEnvironment(ctx, e.Repository())
}
