package reconcile_test

import (
	"errors"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/provision"
	"github.com/lockstep-cd/lockstep/internal/reconcile"
)

// TestRow49_DeployedWithoutAWebhook: the forge does not take the webhook. That is reported,
// and keeps no commit from being deployed.
func TestRow49_DeployedWithoutAWebhook(t *testing.T) {
	s := start(t)
	once := func() reconcile.Result {
		r := s.reconciler(t, t.Context())
		r.Site.WebhookURL = "https://{namespace}.hooks.example.com" // the host answers 404
		return r.Environments(t.Context(), s.known.Environments[:1])[0]
	}
	result := once()
	if result.Outcome != reconcile.Started || result.Run == "" || !errors.Is(result.Err, provision.ErrUnheard) || result.Reason == "" {
		t.Fatalf("got %+v", result)
	}
	s.end(t, result.Run)
	s.record(t, environment.Verified, s.deploy(t))
	if result := once(); result.Outcome != reconcile.Refused || !errors.Is(result.Err, provision.ErrUnheard) {
		t.Errorf("with nothing to deploy: %+v", result)
	}
	s.expectRuns(t, 1)
}
