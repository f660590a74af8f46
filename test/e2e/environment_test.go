//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/test/site"
)

// review is made by a developer, by the program alone.
var review = site.Environment{Name: "review", Namespace: "acme-review"}

// developer is somebody who may make and administer repositories, and whose machine
// knows no cluster.
type developer struct {
	t       *testing.T
	program string
	env     []string
}

func newDeveloper(t *testing.T, ctx context.Context) developer {
	t.Helper()
	const name, password = "dora", "a-password-of-dora-1"
	g := shared.Gitea
	call := func(method, path string, in any, allowed ...int) {
		t.Helper()
		if err := g.Call(ctx, method, path, in, nil, allowed...); err != nil {
			t.Fatal(err)
		}
	}
	call("POST", "/admin/users", map[string]any{"username": name, "email": name + "@example.com", "password": password, "must_change_password": false}, http.StatusUnprocessableEntity)
	var teams []struct {
		ID   int
		Name string
	}
	if err := g.Call(ctx, "GET", "/orgs/"+shared.Owner+"/teams", nil, &teams); err != nil {
		t.Fatal(err)
	}
	id := 0
	for _, team := range teams {
		if team.Name == "administrators" {
			id = team.ID
		}
	}
	if id == 0 {
		var made struct{ ID int }
		if err := g.Call(ctx, "POST", "/orgs/"+shared.Owner+"/teams", map[string]any{
			"name": "administrators", "permission": "admin", "includes_all_repositories": true, "can_create_org_repo": true,
		}, &made); err != nil {
			t.Fatal(err)
		}
		id = made.ID
	}
	call("PUT", fmt.Sprintf("/teams/%d/members/%s", id, name), nil)
	u, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, password)
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".git-credentials"), []byte(u.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KUBE") || strings.HasPrefix(v, "HOME=") })
	return developer{t, program(t), append(env, "HOME="+home, "KUBECONFIG=/nonexistent", "LOCKSTEP_ENVIRONMENTS="+shared.EnvironmentsURL(), "GIT_AUTHOR_NAME=Dora", "GIT_AUTHOR_EMAIL=dora@example.com")}
}

// lockstep runs the program, which must end well.
func (d developer) lockstep(ctx context.Context, args ...string) string {
	d.t.Helper()
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Env = d.env
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("lockstep %q: %v\n%s%s", args, err, out, &said)
	}
	d.t.Logf("lockstep %q:\n%s", args, out)
	return string(out)
}

// TestEnvironmentIsCreatedByADeveloper follows an environment from its creation, with
// Git rights alone, through deployments, a lost webhook and the loss of its
// namespace, to its deletion.
func TestEnvironmentIsCreatedByADeveloper(t *testing.T) {
	ctx := deadline(t)
	d := newDeveloper(t, ctx)
	if err := shared.ConnectEnvironments(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := shared.DisconnectEnvironments(ctx); err != nil {
			t.Error(err)
		}
		if err := shared.Declare(ctx, shared.Entries()...); err != nil {
			t.Error(err)
		}
	})

	d.lockstep(ctx, "create", "environment", review.Name, "--from", "staging", "--promotion", "Manual")
	if again := d.lockstep(ctx, "create", "environment", review.Name, "--from", "staging", "--promotion", "Manual"); strings.Contains(again, "created") || strings.Contains(again, "added") {
		t.Errorf("a second time:\n%s", again)
	}
	verified(t, ctx, environmentTip(t, ctx, review))
	if ask, err := shared.Kubectl(ctx, "get", "namespace", review.Namespace, "-o", "jsonpath={.metadata.labels}"); err != nil || !strings.Contains(ask, `"pod-security.kubernetes.io/enforce":"restricted"`) {
		t.Errorf("namespace %s: %s, %v", review.Namespace, ask, err)
	}

	// A promotion there is heard of and deployed.
	promote := func(version string, more ...string) {
		t.Helper()
		if err := shared.Publish(ctx, "user-service", version); err != nil {
			t.Fatal(err)
		}
		d.lockstep(ctx, append([]string{"promote", "user-service", "--version", version, "--env", review.Name, "--insecure", shared.Registry}, more...)...)
	}
	promote("0.1.0-review.1", "--wait")

	// A push that nobody hears of is found.
	if err := shared.Gitea.DropWebhooks(ctx, shared.Owner, review.Repository()); err != nil {
		t.Fatal(err)
	}
	promote("0.1.0-review.2")
	said, err := shared.Reconcile(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "started") || !strings.Contains(said, "environment=review") {
		t.Errorf("reconcile said\n%s", said)
	}
	d.lockstep(ctx, "promote", "user-service", "--version", "0.1.0-review.2", "--env", review.Name, "--skip-chart-check", "--wait")
	if said, err := shared.Reconcile(ctx); err != nil || strings.Contains(said, "environment=review") {
		t.Errorf("with nothing to do, reconcile said %v\n%s", err, said)
	}

	// Its namespace is lost, and comes back as it was.
	before := objectsOf(t, ctx)
	if _, err := shared.Kubectl(ctx, "delete", "namespace", review.Namespace); err != nil {
		t.Fatal(err)
	}
	runs, err := shared.Runs(ctx, review.RunNamespace())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shared.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	if err := site.Until(ctx, "the run that brings it back", func(ctx context.Context) (bool, error) {
		now, err := shared.Runs(ctx, review.RunNamespace())
		return len(now) == len(runs)+1 && now[len(now)-1].Ended, err
	}); err != nil {
		t.Fatal(err)
	}
	if after := objectsOf(t, ctx); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}

	// Who may look into the cluster sees the runs.
	admin := developer{t, d.program, os.Environ()}
	if list := admin.lockstep(ctx, "get", "pipelines", review.Name); !strings.Contains(list, "Succeeded") || strings.Contains(list, "staging") {
		t.Errorf("runs of review:\n%s", list)
	}
	if logs := admin.lockstep(ctx, "logs", review.Name); !strings.Contains(logs, "[conclude record] recorded  state=verified") {
		t.Errorf("the log of its newest run:\n%s", logs)
	}

	d.lockstep(ctx, "delete", "environment", review.Name, "--force", "--delete-repository")
	isGone(t, ctx)
}

// verified waits for the record that says so of a commit of review.
func verified(t *testing.T, ctx context.Context, commit string) {
	t.Helper()
	c := clone(t, ctx, review.Repository())
	var note string
	if err := site.Until(ctx, "review to be verified at "+commit, func(ctx context.Context) (bool, error) {
		if _, err := c.Git(ctx, "fetch", "-q", "origin", "+refs/notes/*:refs/notes/*"); err != nil {
			return false, err
		}
		note, _ = c.Git(ctx, "notes", "--ref=lockstep", "show", commit) // there may be none yet
		return strings.Contains(note, `"state":`), nil
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(note, `"state":"verified"`) {
		runs, err := shared.Runs(ctx, review.RunNamespace())
		t.Fatalf("on record is %s\nruns: %+v, %v", note, runs, err)
	}
}

// objectsOf are what the release made in review's namespace, without what differs
// each time.
func objectsOf(t *testing.T, ctx context.Context) string {
	t.Helper()
	var list struct{ Items []map[string]any }
	if err := shared.Get(ctx, &list, "deployments,services,configmaps,serviceaccounts,ingresses,rolebindings", "-n", review.Namespace); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, o := range list.Items {
		delete(o, "status")
		metadata := o["metadata"].(map[string]any)
		for _, key := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "annotations"} {
			delete(metadata, key)
		}
		if spec, ok := o["spec"].(map[string]any); ok {
			delete(spec, "clusterIP")
			delete(spec, "clusterIPs")
		}
		if metadata["name"] == "kube-root-ca.crt" {
			continue
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text))
	}
	slices.Sort(lines)
	if len(lines) < 3 {
		t.Fatalf("review has only %q", lines)
	}
	return strings.Join(lines, "\n")
}

// isGone waits until nothing of review is left.
func isGone(t *testing.T, ctx context.Context) {
	t.Helper()
	if err := site.Until(ctx, "review to be gone from the cluster", func(ctx context.Context) (bool, error) {
		left, err := shared.Kubectl(ctx, "get", "namespaces", "-l", "lockstep.dev/environment="+review.Name, "-o", "name")
		return err == nil && strings.TrimSpace(left) == "", err
	}); err != nil {
		t.Fatal(err)
	}
	left, err := shared.Kubectl(ctx, "get", "clusterrolebindings", "-o", "name")
	if err != nil || strings.Contains(left, review.Namespace) {
		t.Errorf("left are %s, %v", left, err)
	}
	var repository struct{ Name string }
	if err := shared.Gitea.Call(ctx, "GET", "/repos/"+shared.Owner+"/"+review.Repository(), nil, &repository, http.StatusNotFound); err != nil || repository.Name != "" {
		t.Errorf("the repository is there: %+v, %v", repository, err)
	}
}
