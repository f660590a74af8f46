package forge

// Name is what the forge calls the repository: owner/name, on GitLab with all
// groups, on Bitbucket Server the project's key and the slug.
func (r *Repository) Name() string { return r.name }
