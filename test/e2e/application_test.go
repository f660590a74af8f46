//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/test/site"
)

// TestApplicationIsAddedByADeveloper follows a new application from its entry, with Git
// rights alone, through its first push into staging, a lost webhook, and out again.
func TestApplicationIsAddedByADeveloper(t *testing.T) {
	ctx := deadline(t)
	d := newDeveloper(t, ctx)
	name := "ledger-" + strings.ToLower(rand.Text()[:6]) // what is published of an earlier one stays in the registry
	repository := "/repos/" + shared.Owner + "/" + name
	if err := shared.Gitea.Call(ctx, "POST", "/orgs/"+shared.Owner+"/repos", map[string]any{"name": name, "default_branch": "main"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := shared.ConnectEnvironments(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := shared.DisconnectEnvironments(ctx); err != nil {
			t.Error(err)
		}
		if err := shared.Gitea.Call(ctx, "DELETE", repository, nil, nil); err != nil {
			t.Error(err)
		}
	})

	add := []string{"add", "application", name, "--repository", shared.RepositoryURL(name),
		"--test-image", shared.GoImage, "--test-command", "go test ./... && CGO_ENABLED=0 go build -trimpath -o dist/ .",
		"--image-base", shared.StaticBase, "--image-files", "dist/" + name + ":/usr/bin/" + name, "--image-entrypoint", "/usr/bin/" + name,
		"--image-repository", shared.Registry + "/" + shared.Owner + "/" + name, "--chart-repository", "oci://" + shared.Registry + "/charts"}
	d.lockstep(ctx, add...)
	if again := d.lockstep(ctx, add...); !strings.Contains(again, "unchanged") {
		t.Errorf("a second time:\n%s", again)
	}
	hooked(t, ctx, repository, true)

	commit := pushLedger(t, ctx, name)
	built := finish(t, ctx, shared.Applications, commit, true)
	promoted, err := built.Promoted(shared.Staging())
	if err != nil {
		t.Fatal(err)
	}
	finish(t, ctx, shared.Staging().RunNamespace(), promoted, true)
	if note := environmentNote(t, ctx, shared.Staging(), promoted); !strings.Contains(note, `"state":"verified"`) || !strings.Contains(note, name) {
		t.Errorf("on record is %s", note)
	}
	deployed(t, ctx, name, true)

	if err := shared.Gitea.DropWebhooks(ctx, shared.Owner, name); err != nil {
		t.Fatal(err)
	}
	if said, err := shared.Reconcile(ctx); err != nil || !strings.Contains(said, "application="+name) {
		t.Errorf("reconcile said %v\n%s", err, said)
	}
	hooked(t, ctx, repository, true)

	d.lockstep(ctx, "delete", "application", name)
	hooked(t, ctx, repository, false)
	d.lockstep(ctx, "remove", "application", name, "--env", shared.Staging().Name, "--wait")
	deployed(t, ctx, name, false)
	if triggers, err := shared.Kubectl(ctx, "get", "triggers", "-n", shared.Applications, "-o", "name"); err != nil || strings.Contains(triggers, name) {
		t.Errorf("left are %s, %v", triggers, err)
	}
}

// pushLedger makes the first commit of an application, and returns it.
func pushLedger(t *testing.T, ctx context.Context, name string) string {
	t.Helper()
	c := clone(t, ctx, name)
	const like = "user-service"
	from := filepath.Join(shared.Root, "examples", like)
	if err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to := filepath.Join(c.Dir, strings.ReplaceAll(strings.TrimPrefix(path, from), like, name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, []byte(strings.ReplaceAll(string(text), like, name)), 0o644)
	}); err != nil {
		t.Fatal(err)
	}
	commit, err := c.Push(ctx, "feat: first version")
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

// hooked waits until a repository has one webhook, or none.
func hooked(t *testing.T, ctx context.Context, repository string, want bool) {
	t.Helper()
	if err := site.Until(ctx, "the webhook of "+repository, func(ctx context.Context) (bool, error) {
		var hooks []struct{ ID int }
		err := shared.Gitea.Call(ctx, "GET", repository+"/hooks", nil, &hooks)
		return (len(hooks) == 1) == want && len(hooks) < 2, err
	}); err != nil {
		t.Fatal(err)
	}
}

func deployed(t *testing.T, ctx context.Context, name string, want bool) {
	t.Helper()
	got, err := shared.Kubectl(ctx, "get", "deployments", "-n", shared.Staging().Namespace, "-o", "name")
	if err != nil || strings.Contains(got, name) != want {
		t.Errorf("staging has %s, %v; with %s: want %v", got, err, name, want)
	}
}
