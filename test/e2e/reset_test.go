//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/test/site"
)

// TestRow24_UnhealthyChartFails deploys an image that does not exist and then resets the branch
// to the commit before: the first run fails with the cause, the reset is deployed (row 15).
func TestRow24_UnhealthyChartFailsAndResetIsDeployed(t *testing.T) {
	ctx := deadline(t)
	settle(t, ctx)
	c := clone(t, ctx, shared.Staging().Repository())
	good, err := c.Git(ctx, "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	commit := pushAbsentImage(t, ctx, c)
	r := finish(t, ctx, shared.Staging().RunNamespace(), commit, false)
	logs := shared.Logs(ctx, r)
	if !strings.Contains(logs, "ImagePullBackOff") && !strings.Contains(logs, "ErrImagePull") {
		t.Errorf("the cause is not shown:\n%s", logs)
	}
	if note := environmentNote(t, ctx, shared.Staging(), commit); !strings.Contains(note, `"state":"failed"`) {
		t.Errorf("deployment record %q, want state failed", note)
	}

	if _, err := c.Git(ctx, "reset", "-q", "--hard", good); err != nil {
		t.Fatal(err)
	}
	before, err := shared.Runs(ctx, shared.Staging().RunNamespace())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Git(ctx, "push", "-q", "--force", "origin", "HEAD"); err != nil {
		t.Fatal(err)
	}
	reset := nextRun(t, ctx, len(before))
	if reset.Result("commit") != good || reset.Result("outcome") != "deployed" {
		t.Errorf("after the reset: outcome %q, commit %q; want deployed, %s", reset.Result("outcome"), reset.Result("commit"), good)
	}
	if logs := shared.Logs(ctx, reset); !strings.Contains(logs, "reset") {
		t.Errorf("no warning about the reset:\n%s", logs)
	}
}

// pushAbsentImage lets user-service have an image that does not exist.
func pushAbsentImage(t *testing.T, ctx context.Context, c *site.Checkout) (commit string) {
	t.Helper()
	bad := "user:\n  image:\n    repository: " + shared.Registry + "/acme/absent\n    digest: \"\"\n    tag: none\n"
	if err := c.Replace("values.yaml", "user:\n", bad); err != nil {
		t.Fatal(err)
	}
	commit, err := c.Push(ctx, "feat: an image that does not exist")
	if err != nil {
		t.Fatal(err)
	}
	return commit
}
