package reconcile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/reconcile"
)

// TestRow17 kills reconcile behind every request that changes something in the cluster,
// which is before every such request as well: the next one comes to the same objects as
// one that nobody killed, and to one run.
func TestRow17(t *testing.T) {
	s := start(t)
	proxy := s.proxy(t)
	var want map[string]string
	for k := 0; ; k++ {
		env := &s.known.Environments[0]
		env.Namespace = fmt.Sprintf("%s-%d", s.Short(), k)
		s.RemoveNamespaces(t, env.Namespace, env.Namespace+"-lockstep")
		once := func(ctx context.Context) reconcile.Result {
			return s.reconciler(t, ctx).Environments(ctx, s.known.Environments[:1])[0]
		}
		killed := killing(t, proxy, k, func(ctx context.Context) {
			if result := once(ctx); ctx.Err() != nil && result.Err == nil && result.Outcome != reconcile.Started {
				t.Errorf("killed behind write %d: %+v", k, result)
			}
		})
		if killed {
			if result := once(t.Context()); result.Err != nil || result.Outcome != reconcile.Started && result.Outcome != reconcile.Running {
				t.Errorf("after a kill behind write %d: %+v", k, result)
			}
		}
		if result := once(t.Context()); result.Outcome != reconcile.Running || len(result.Changed) > 0 {
			t.Errorf("then, after a kill behind write %d: %+v", k, result)
		}
		got := s.content(t, env.Namespace)
		if k == 0 {
			want = got // nobody was killed
			continue
		}
		if !maps.Equal(got, want) {
			t.Errorf("killed behind write %d:\n got %v\nwant %v", k, got, want)
		}
		if err := s.Kubernetes.RbacV1().ClusterRoleBindings().Delete(t.Context(), "lockstep-webhook-"+env.Namespace+"-lockstep", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if !killed {
			if k < len(want) {
				t.Errorf("there were %d writes for %d objects", k, len(want))
			}
			return
		}
	}
}

// TestRow17Gone does the same where an environment is taken away.
func TestRow17Gone(t *testing.T) {
	s := start(t)
	proxy := s.proxy(t)
	s.environments.Commit("chore: delete environment qa\n\nLockstep-Operation: delete-environment\nLockstep-Environment: qa", nil)
	in, err := git.NewRemote(s.environments.URL, git.Access{})
	if err != nil {
		t.Fatal(err)
	}
	all := s.known.Environments
	for k := 1; ; k++ {
		s.known.Environments = all
		all[0].Namespace = fmt.Sprintf("%s-qa%d", s.Short(), k)
		s.RemoveNamespaces(t, all[0].Namespace, all[0].Namespace+"-lockstep")
		s.expect(t, "a new environment", reconcile.Started)
		s.known.Environments = nil
		killed := killing(t, proxy, k, func(ctx context.Context) { s.reconciler(t, ctx).Gone(ctx, in, "") })
		if err := reconcile.Err(s.reconciler(t, t.Context()).Gone(t.Context(), in, "")); err != nil {
			t.Errorf("after a kill behind write %d: %v", k, err)
		}
		for _, namespace := range []string{all[0].Namespace, all[0].Namespace + "-lockstep"} {
			found, err := s.Kubernetes.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
			if err == nil && found.DeletionTimestamp == nil {
				t.Errorf("after a kill behind write %d, %s stays", k, namespace)
			}
		}
		if _, err := s.Kubernetes.RbacV1().ClusterRoleBindings().Get(t.Context(), "lockstep-webhook-"+all[0].Namespace+"-lockstep", metav1.GetOptions{}); err == nil {
			t.Errorf("after a kill behind write %d, the ClusterRoleBinding stays", k)
		}
		if !killed {
			return
		}
	}
}

// proxy stands between reconcile and the API server. Its caller is reconcile's account.
func (s *site) proxy(t *testing.T) *clustertest.Proxy {
	t.Helper()
	as := *s.Cluster
	as.Config = rest.CopyConfig(s.Config)
	as.Config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + s.Namespace + ":lockstep-reconcile",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + s.Namespace, "system:authenticated"},
	}
	proxy := as.Proxy(t)
	s.client = s.ClientWith(t, proxy.Kubeconfig)
	return proxy
}

// killing ends what is done when the answer to its write number k is on its way, and
// reports whether it came so far. Dry runs, which Drift does, write nothing.
func killing(t *testing.T, proxy *clustertest.Proxy, k int, do func(ctx context.Context)) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writes atomic.Int64
	proxy.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet || r.URL.Query().Has("dryRun") || writes.Add(1) != int64(k) {
			return false
		}
		// What the API server has begun it ends, whoever goes away.
		proxy.Forward(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		cancel()
		panic(http.ErrAbortHandler) // cuts the connection
	})
	defer proxy.Hook(nil)
	do(ctx)
	return ctx.Err() != nil
}

// content is what an environment has in the cluster, whatever it is called.
func (s *site) content(t *testing.T, namespace string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, o := range s.Snapshot(t, namespace, namespace+"-lockstep") {
		for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"} {
			unstructured.RemoveNestedField(o.Object, "metadata", field)
		}
		if o.GetKind() == "Secret" && o.GetName() == "lockstep-webhook" {
			delete(o.Object, "data")
		}
		if o.GetKind() == "Namespace" {
			delete(o.Object, "status")
		}
		text, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.ReplaceAll(name, namespace, "NAMESPACE")] = strings.ReplaceAll(string(text), namespace, "NAMESPACE")
	}
	return found
}
