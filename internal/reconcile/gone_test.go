package reconcile_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/reconcile"
)

// TestGone: what is not in the file any more goes where a commit says so, and nowhere
// else.
func TestGone(t *testing.T) {
	s := start(t)
	r := s.reconciler(t, t.Context())
	results := r.Environments(t.Context(), s.known.Environments)
	if err := reconcile.Err(results); err != nil {
		t.Fatal(err)
	}
	in, err := git.NewRemote(s.environments.URL, git.Access{})
	if err != nil {
		t.Fatal(err)
	}
	gone := func() []reconcile.Result { return r.Gone(t.Context(), in, "") }
	if got := gone(); len(got) > 0 {
		t.Errorf("with all in the file: %+v", got)
	}

	all := s.known.Environments
	s.known.Environments = nil // somebody emptied the file
	s.environments.Commit("chore: tidy up\n\nLockstep-Operation: edit-environment\nLockstep-Environment: qa", nil)
	s.environments.Commit("chore: delete environment qa", nil) // it says so, and not where programs look
	for _, result := range gone() {
		if result.Outcome != reconcile.Orphaned || result.Err != nil || len(result.Changed) > 0 || !strings.Contains(result.Reason, "lockstep delete environment "+result.Environment) {
			t.Errorf("without a commit: %+v", result)
		}
	}
	s.expectLive(t, "qa", true)
	s.expectLive(t, "production", true)

	s.environments.Commit("chore: delete environment qa\n\nLockstep-Operation: delete-environment\nLockstep-Environment: qa", nil)
	s.environments.Commit("chore: delete environment production\n\nLockstep-Operation: delete-environment\nLockstep-Environment: production", nil)
	s.environments.Commit("chore: create environment production\n\nLockstep-Operation: create-environment\nLockstep-Environment: production", nil)

	// Those of another environments.yaml are not ours.
	others := *r
	others.Site.Environments += "-of-others"
	if got := others.Gone(t.Context(), in, ""); len(got) > 0 {
		t.Errorf("others take away %+v", got)
	}
	dry := *r
	dry.Site.DryRun = true
	if got := dry.Gone(t.Context(), in, ""); len(got) != 2 || got[1].Outcome != reconcile.Deleted || !got[1].DryRun || len(got[1].Changed) != 2 {
		t.Errorf("a dry run: %+v", got)
	}
	s.expectLive(t, "qa", true)

	got := gone()
	if len(got) != 2 || got[0].Environment != "production" || got[0].Outcome != reconcile.Orphaned || got[1].Environment != "qa" || got[1].Outcome != reconcile.Deleted || reconcile.Err(got) != nil {
		t.Errorf("got %+v", got)
	}
	s.expectLive(t, "qa", false)
	s.expectLive(t, "production", true)
	if got := gone(); len(got) != 1 {
		t.Errorf("the second time: %+v", got)
	}
	s.known.Environments = all[1:]
	if got := gone(); len(got) != 0 {
		t.Errorf("with production in the file again: %+v", got)
	}
}

// expectLive: an environment has its namespaces and its rights, or they are going.
func (s *site) expectLive(t *testing.T, name string, live bool) {
	t.Helper()
	for _, namespace := range []string{s.namespace(name), s.runs(name)} {
		found, err := s.Kubernetes.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
		if is := err == nil && found.DeletionTimestamp == nil; is != live {
			t.Errorf("namespace %s is there: %v, want %v", namespace, is, live)
		}
	}
	_, err := s.Kubernetes.RbacV1().ClusterRoleBindings().Get(t.Context(), "lockstep-webhook-"+s.runs(name), metav1.GetOptions{})
	if is := err == nil; is != live {
		t.Errorf("its ClusterRoleBinding is there: %v, want %v", is, live)
	}
}

// TestGoneWithoutHistory: where the history of environments.yaml cannot be read, nothing goes.
func TestGoneWithoutHistory(t *testing.T) {
	s := start(t)
	s.expect(t, "a new environment", reconcile.Started)
	s.known.Environments = nil
	in, err := git.NewRemote("http://127.0.0.1:1/environments.git", git.Access{RetryFor: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	got := s.reconciler(t, t.Context()).Gone(t.Context(), in, "")
	if len(got) != 1 || got[0].Outcome != reconcile.Failed || fault.Of(reconcile.Err(got)).Kind != fault.KindRetryable {
		t.Errorf("got %+v", got)
	}
	s.expectLive(t, "qa", true)
}
