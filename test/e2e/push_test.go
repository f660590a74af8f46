//go:build e2e

package e2e

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

type pods struct {
	Items []struct {
		Metadata struct {
			Name              string
			DeletionTimestamp *time.Time
		}
		Status struct {
			Phase             string
			ContainerStatuses []struct{ ImageID string }
		}
	}
}

func imageIDs(t *testing.T, ctx context.Context, alias string) []string {
	t.Helper()
	var list pods
	if err := shared.Get(ctx, &list, "pods", "-n", shared.Staging().Namespace, "-l", "app.kubernetes.io/name="+alias); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, p := range list.Items {
		if p.Metadata.DeletionTimestamp != nil || p.Status.Phase == "Succeeded" {
			continue
		}
		for _, c := range p.Status.ContainerStatuses {
			ids = append(ids, c.ImageID)
		}
	}
	return ids
}

func TestPushIsServedInStaging(t *testing.T) {
	ctx := deadline(t)
	c := clone(t, ctx, "user-service")
	commit, token := pushAnswer(t, ctx, c)
	build := finish(t, ctx, shared.Applications, commit, true)
	promoted, err := build.Promoted(shared.Staging())
	if err != nil {
		t.Fatal(err)
	}
	deploy := finish(t, ctx, shared.Staging().RunNamespace(), promoted, true)
	got, err := shared.Answer(ctx, shared.Staging(), "user")
	if err != nil || !strings.Contains(got, token) {
		t.Fatalf("staging answers %q, %v; want %s", got, err, token)
	}
	digest := build.Result("IMAGE_DIGEST")
	ids := imageIDs(t, ctx, "user")
	if len(ids) == 0 {
		t.Fatal("no pod of user-service")
	}
	for _, id := range ids {
		if digest == "" || !strings.HasSuffix(id, "@"+digest) {
			t.Errorf("a pod runs %s, the build published %s", id, digest)
		}
	}
	tag, err := c.Git(ctx, "ls-remote", "--tags", "origin", "refs/tags/v"+build.Result("version")+"*")
	if err != nil || !strings.Contains(tag, commit) {
		t.Errorf("tag v%s is not on %s: %q %v", build.Result("version"), commit, tag, err)
	}
	note := environmentNote(t, ctx, shared.Staging(), promoted)
	if !strings.Contains(note, `"state":"verified"`) {
		t.Errorf("deployment record of run %s: %q", deploy.Name, note)
	}
}

func TestTwoPushesAtOnce(t *testing.T) {
	ctx := deadline(t)
	c := clone(t, ctx, "user-service")
	first, _ := pushAnswer(t, ctx, c)
	second, token := pushAnswer(t, ctx, c)
	a := finish(t, ctx, shared.Applications, first, true)
	b := finish(t, ctx, shared.Applications, second, true)
	if a.Result("version") == b.Result("version") || a.Result("IMAGE_DIGEST") == b.Result("IMAGE_DIGEST") {
		t.Errorf("two pushes gave %s %s and %s %s", a.Result("version"), a.Result("IMAGE_DIGEST"), b.Result("version"), b.Result("IMAGE_DIGEST"))
	}
	settle(t, ctx)
	servedToken(t, ctx, token)
}

func TestFailingTestReleasesNothing(t *testing.T) {
	ctx := deadline(t)
	c := clone(t, ctx, "user-service")
	before := environmentTip(t, ctx, shared.Staging())
	tags, err := c.Git(ctx, "ls-remote", "--tags", "origin")
	if err != nil {
		t.Fatal(err)
	}
	broken := "package main\n\nimport \"testing\"\n\nfunc TestBroken(t *testing.T) { t.Fatal(\"broken on purpose\") }\n"
	if err := os.WriteFile(c.Dir+"/broken_test.go", []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	commit, err := c.Push(ctx, "feat: a test that fails")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := os.Remove(c.Dir + "/broken_test.go"); err != nil {
			t.Error(err)
		}
		if _, err := c.Push(ctx, "fix: the test that fails [skip ci]"); err != nil {
			t.Error(err)
		}
	})
	r := finish(t, ctx, shared.Applications, commit, false)
	if logs := shared.Logs(ctx, r); !strings.Contains(logs, "broken on purpose") {
		t.Errorf("the logs do not show the failing test:\n%s", logs)
	}
	if after, err := c.Git(ctx, "ls-remote", "--tags", "origin"); err != nil || after != tags {
		t.Errorf("tags changed: %q → %q, %v", tags, after, err)
	}
	if after := environmentTip(t, ctx, shared.Staging()); after != before {
		t.Errorf("the environment moved from %s to %s", before, after)
	}
}
