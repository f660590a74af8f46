package provision_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/provision"
)

// TestNamespaceTaken: what environments.yaml says is not trusted with namespaces that
// are not the environment's.
func TestNamespaceTaken(t *testing.T) {
	for _, taken := range []string{"", "-lockstep"} {
		for owner, labels := range map[string]map[string]string{"nobody": nil, "another environment": {provision.EnvironmentLabel: "production"}} {
			t.Run(strings.Trim(taken+" by "+owner, "- "), func(t *testing.T) {
				s := start(t)
				p := s.place(t)
				namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
				namespace.SetName(p.Namespace + taken)
				namespace.SetLabels(labels)
				s.Apply(t, namespace)
				before := s.objects(t, p)
				changed, err := s.Ensure(t.Context(), p)
				if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "NamespaceTaken" || len(changed) > 0 {
					t.Errorf("got %v, %v", changed, err)
				}
				if after := s.objects(t, p); !maps.Equal(versions(before), versions(after)) {
					t.Errorf("it was touched: %v", slices.Sorted(maps.Keys(after)))
				}
				removed, err := s.Remove(t.Context(), "qa", p.Remote)
				if err != nil || len(removed) > 0 {
					t.Errorf("removing took %v, %v", removed, err)
				}
				// Its owner hands it over.
				s.patch(t, "v1", "Namespace", "", p.Namespace+taken, `{"metadata":{"labels":{"lockstep.dev/environment":"qa"}}}`)
				same(t, "when it is handed over", s.ensure(t, p), s.said(whole...))
			})
		}
	}
}

func TestNamespaceTerminating(t *testing.T) {
	s := start(t)
	p := s.place(t)
	s.ensure(t, p)
	s.patch(t, "v1", "Namespace", "", p.Namespace+"-lockstep", `{"metadata":{"finalizers":["example.com/keep"]}}`)
	if err := s.Objects(t, "v1", "Namespace", "").Delete(t.Context(), p.Namespace+"-lockstep", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Ensure(t.Context(), p)
	if f := fault.Of(err); f.Kind != fault.KindRetryable || f.Reason != "NamespaceTerminating" {
		t.Errorf("got %v", err)
	}
	s.patch(t, "v1", "Namespace", "", p.Namespace+"-lockstep", `{"metadata":{"finalizers":null}}`)
	s.awaitGone(t, p.Namespace+"-lockstep")
	if changed := s.ensure(t, p); !slices.Contains(changed, "Namespace "+p.Namespace+"-lockstep") || slices.Contains(changed, "Namespace "+p.Namespace) {
		t.Errorf("changed %v", changed)
	}
	same(t, "what is there", slices.Sorted(maps.Keys(s.objects(t, p))), slices.Sorted(slices.Values(whole)))
}

func (s *site) awaitGone(t *testing.T, namespace string) {
	t.Helper()
	clustertest.Eventually(t, "the end of "+namespace, func() error {
		time.Sleep(100 * time.Millisecond)
		_, err := s.Kubernetes.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
		if err == nil {
			return errors.New("it is there")
		}
		if !cluster.IsNotFound(err) {
			return err
		}
		return nil
	})
}

// TestRemove takes away what Ensure made, of this environments.yaml alone.
func TestRemove(t *testing.T) {
	s := start(t)
	p := s.place(t)
	s.ensure(t, p)
	other := *s
	other.Environments += "-of-others"
	if known, err := other.Known(t.Context()); err != nil || len(known) > 0 {
		t.Errorf("others know %v, %v", known, err)
	}
	if removed, err := other.Remove(t.Context(), "qa", p.Remote); err != nil || len(removed) > 0 {
		t.Errorf("others remove %v, %v", removed, err)
	}
	if known, err := s.Known(t.Context()); err != nil || !maps.Equal(known, map[string]string{"qa": p.Repository}) {
		t.Errorf("known are %v, %v", known, err)
	}
	removed, err := s.Remove(t.Context(), "qa", p.Remote)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "removed", removed, s.said(whole[:2]...))
	again, err := s.Remove(t.Context(), "qa", p.Remote)
	if err != nil || len(again) > 0 {
		t.Errorf("removed again %v, %v", again, err)
	}
	s.awaitGone(t, p.Namespace)
	s.awaitGone(t, p.Namespace+"-lockstep")
	if left := s.objects(t, p); len(left) > 0 {
		t.Errorf("left are %v", slices.Sorted(maps.Keys(left)))
	}
}
