package catalog_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func reason(err error) string { return fault.Of(err).Reason }

// TestDeleteLeavesWhatIsShared: also where the same repository is called by another
// URL.
func TestDeleteLeavesWhatIsShared(t *testing.T) {
	t.Parallel()
	c := catalog.Catalog{Where: "git@git.example.com:acme/environments.git", Path: path, DryRun: true,
		Open: func(url string) (*git.Remote, error) { return git.NewRemote(url, git.Access{}) }}
	staging := environment.Environment{Name: "staging"}
	for url, other := range map[string]string{
		"https://git.example.com/acme/shared.git":       "git@git.example.com:acme/shared",
		"ssh://git@git.example.com/acme/shared.git":     "https://git.example.com/Acme/Shared/",
		"https://git.example.com/acme/environments.git": "https://git.example.com/acme/other",
		filepath.Join(t.TempDir(), "shared.git"):        "",
	} {
		staging.Repository = url
		if other == "" {
			other = "file://" + url
		}
		known := &environment.Environments{Environments: []environment.Environment{staging, {Name: "qa", Repository: other}}}
		err := catalog.DeleteRepository(c, t.Context(), staging, known, "")
		if reason(err) != "RepositoryShared" {
			t.Errorf("%s beside %s: %v", url, other, err)
		}
	}
	staging.Repository = "https://git.example.com/acme/staging.git"
	known := &environment.Environments{Environments: []environment.Environment{staging, {Name: "qa", Repository: "https://git.example.com/acme/staging-qa.git"}}}
	if err := catalog.DeleteRepository(c, t.Context(), staging, known, ""); err != nil {
		t.Errorf("its own: %v", err)
	}
}

// TestTwoFillOneRepository: one of them does, the other is told to look again, and
// then finds it done.
func TestTwoFillOneRepository(t *testing.T) {
	t.Parallel()
	server := gittest.NewInProcessServer(t)
	repository := server.Create("qa", nil)
	c := in(server.Create("environments", gittest.Files{path: head + staging}))
	overtaken(server, repository, "")
	env := environment.Environment{Name: "qa", Repository: repository.URL, Path: "."}
	_, err := c.Ensure(t.Context(), env, catalog.Source{}, catalog.Hosting{})
	if reason(err) != "RepositoryMoved" || fault.Of(err).Kind != fault.KindRetryable || !errors.Is(err, git.ErrMoved) {
		t.Fatalf("%v", err)
	}
	done, err := c.Ensure(t.Context(), env, catalog.Source{}, catalog.Hosting{})
	if err != nil || done.Created || !done.Filled {
		t.Fatalf("again: %+v, %v", done, err)
	}
	if got := repository.File("main", "theirs"); got != "x" {
		t.Errorf("their file has %q", got)
	}
	done, err = c.Ensure(t.Context(), env, catalog.Source{}, catalog.Hosting{})
	if err != nil || done.Filled || string(done.Commit) != repository.Head("main") {
		t.Errorf("a third time: %+v, %v", done, err)
	}
}
