//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/test/site"
)

// TestRow26_StagingGoesBackByItself: an environment that asks for it gets back what was
// verified when a deployment fails, by a commit that is deployed and verified.
func TestRow26_StagingGoesBackByItself(t *testing.T) {
	ctx := deadline(t)
	settle(t, ctx)
	entries := shared.Entries()
	entries[0].Rollback = environment.Auto
	if err := shared.Declare(ctx, entries...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.Declare(context.Background(), shared.Entries()...); err != nil {
			t.Error(err)
		}
	})
	staging := shared.Staging()
	c := clone(t, ctx, staging.Repository())
	commit := pushAbsentImage(t, ctx, c)
	finish(t, ctx, staging.RunNamespace(), commit, false)
	if note := environmentNote(t, ctx, staging, commit); !strings.Contains(note, `"state":"failed"`) {
		t.Errorf("on record is %s", note)
	}
	tip := commit
	if err := site.Until(ctx, "staging to go back", func(context.Context) (bool, error) {
		tip = environmentTip(t, ctx, staging)
		return tip != commit, nil
	}); err != nil {
		t.Fatal(err)
	}
	finish(t, ctx, staging.RunNamespace(), tip, true)
	if note := environmentNote(t, ctx, staging, tip); !strings.Contains(note, `"state":"verified"`) {
		t.Errorf("on record is %s", note)
	}
	if _, err := c.Git(ctx, "pull", "-q", "origin", "main"); err != nil {
		t.Fatal(err)
	}
	if changed, err := c.Git(ctx, "diff", "--stat", commit+"~1", "HEAD"); err != nil || changed != "" {
		t.Errorf("it is not as it was: %s, %v", changed, err)
	}
}
