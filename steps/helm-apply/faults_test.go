package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	helm "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// world is a namespace and an environment's repository.
type world struct {
	t          *testing.T
	on         *clustertest.Cluster
	repository *gittest.Repository
}

func newWorld(t *testing.T) *world {
	on := clustertest.Start(t)
	return &world{t: t, on: on, repository: gittest.NewServer(t).Create("staging", gittest.Files{
		"Chart.yaml":       "apiVersion: v2\nname: staging\nversion: 0.1.0\n",
		"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: {{ .Values.key | quote }}}\n",
		"templates/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {key: {{ .Values.key | quote }}}\n",
		"values.yaml":      "key: one\n",
	})}
}

// process is a running helm-apply.
type process struct {
	*exec.Cmd
	out, log lockedBuffer
}

// start runs helm-apply as a pipeline would, with a workspace of its own.
func (w *world) start(kubeconfig, run string, args ...string) *process {
	w.t.Helper()
	p := &process{Cmd: exec.Command("helm-apply", append([]string{
		"--url=" + w.repository.URL, "--source=" + filepath.Join(w.t.TempDir(), "work"),
		"--release=staging", "--namespace=" + w.on.Namespace, "--run=" + run}, args...)...)}
	p.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+w.t.TempDir(), "TMPDIR="+w.t.TempDir())
	p.Stdout, p.Stderr = &p.out, &p.log
	if err := p.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

func (w *world) mustDeploy(run string) string {
	w.t.Helper()
	p := w.start(w.on.Kubeconfig, run)
	if err := p.Wait(); err != nil {
		w.t.Fatalf("%v\n%s", err, p.log.String())
	}
	return p.out.String()
}

// check compares the cluster with what the values say, and the release and its
// lease with what a deployment leaves.
func (w *world) check(key string) {
	w.t.Helper()
	ctx := context.Background()
	for _, name := range []string{"a", "b"} {
		m, err := w.on.Kubernetes.CoreV1().ConfigMaps(w.on.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil || m.Data["key"] != key {
			w.t.Errorf("ConfigMap %s: %v, %v, want %s", name, m.Data, err, key)
		}
	}
	history := w.history()
	if newest := history[len(history)-1]; newest.Info.Status != helm.StatusDeployed || newest.Labels["lockstep.dev/commit"] != w.repository.Head("main") {
		w.t.Errorf("the newest revision is %s of %s", newest.Info.Status, newest.Labels["lockstep.dev/commit"])
	}
	for _, revision := range history[:len(history)-1] {
		if status := revision.Info.Status; status != helm.StatusSuperseded && status != helm.StatusFailed {
			w.t.Errorf("revision %d is %s", revision.Version, status)
		}
	}
	if holder := w.holder(); holder != "" {
		w.t.Errorf("%s still holds the lease", holder)
	}
}

func (w *world) holder() string {
	w.t.Helper()
	lease, err := w.on.Kubernetes.CoordinationV1().Leases(w.on.Namespace).Get(context.Background(), "lockstep-staging", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// history is read as the helm program reads it, oldest first.
func (w *world) history() []*helm.Release {
	w.t.Helper()
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig, flags.Namespace = &w.on.Kubeconfig, &w.on.Namespace
	config := &action.Configuration{}
	if err := config.Init(flags, w.on.Namespace, "secret", func(string, ...any) {}); err != nil {
		w.t.Fatal(err)
	}
	list, err := action.NewHistory(config).Run("staging")
	if err != nil {
		w.t.Fatal(err)
	}
	releaseutil.SortByRevision(list)
	return list
}

func isWrite(r *http.Request) bool { return r.Method != http.MethodGet }

func TestRow16_StoppedDeploymentLeavesAGoodState(t *testing.T) {
	w := newWorld(t)
	w.repository.Commit("a hook", gittest.Files{"templates/hook.yaml": `apiVersion: v1
kind: Pod
metadata: {name: hook, annotations: {helm.sh/hook: "pre-install,pre-upgrade"}}
spec:
  schedulerName: clustertest
  restartPolicy: Never
  containers: [{name: hook, image: "example.com/hook:1"}]
`})
	p := w.start(w.on.Kubeconfig, "ci/run-1")
	pods := w.on.Kubernetes.CoreV1().Pods(w.on.Namespace)
	clustertest.Eventually(t, "the hook", func() error {
		_, err := pods.Get(context.Background(), "hook", metav1.GetOptions{})
		return err
	})
	start := time.Now()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := p.Wait()
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if code := p.ProcessState.ExitCode(); code != 143 {
		t.Errorf("exit code %d, %v\n%s", code, err, p.log.String())
	}
	if status := w.history()[0].Info.Status; status != helm.StatusFailed {
		t.Errorf("the release is left %s", status)
	}
	if holder := w.holder(); holder != "" {
		t.Errorf("%s still holds the lease", holder)
	}

	again := w.start(w.on.Kubeconfig, "ci/run-2")
	clustertest.Eventually(t, "the second run", func() error {
		if strings.Contains(again.out.String(), "outcome=") {
			return nil
		}
		// The hook of the first run may still be there: only one that stays counts.
		_, err := pods.Patch(context.Background(), "hook", types.MergePatchType, []byte(`{"status":{"phase":"Succeeded"}}`), metav1.PatchOptions{}, "status")
		return fmt.Errorf("has not ended; the hook: %v", err)
	})
	if err := again.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, again.log.String())
	}
	w.check("one")
}

// TestRow17 kills the program at its first write, then at its second, and so
// on, once before the server sees the request and once after it was done. The
// next run of the same pipeline must always end in the same state.
func TestRow17_KilledDeploymentConverges(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			w := newWorld(t)
			w.mustDeploy("ci/run-0")
			proxy := w.on.Proxy(t)
			for k, killed := int32(1), true; killed; k++ {
				key := fmt.Sprintf("%s-%d", when, k)
				w.repository.Commit(key, gittest.Files{"values.yaml": "key: " + key + "\n"})
				killed = w.kill(proxy, k, when == "after")
				w.mustDeploy("ci/run-1")
				w.check(key)
				if k == 1 && !killed {
					t.Fatal("the program wrote nothing")
				}
			}
		})
	}
}

// kill runs helm-apply and kills it at its k-th write. It reports whether there
// was one.
func (w *world) kill(proxy *clustertest.Proxy, k int32, after bool) bool {
	w.t.Helper()
	var writes atomic.Int32
	var killed atomic.Bool
	started := make(chan *process, 1)
	var victim *process
	var once sync.Once
	proxy.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if !isWrite(r) || writes.Add(1) != k {
			return false
		}
		if after {
			proxy.Forward(httptest.NewRecorder(), r)
		}
		once.Do(func() { victim = <-started })
		killed.Store(true)
		_ = victim.Process.Kill()
		panic(http.ErrAbortHandler) // no answer
	})
	p := w.start(proxy.Kubeconfig, "ci/run-1")
	started <- p
	err := p.Wait()
	proxy.Hook(nil)
	if !killed.Load() && err != nil {
		w.t.Fatalf("%v\n%s", err, p.log.String())
	}
	return killed.Load()
}

func TestRow19_TwoDeploymentsAtOnce(t *testing.T) {
	w := newWorld(t)
	proxy := w.on.Proxy(t)
	var second atomic.Pointer[process]
	held := make(chan bool)
	var once sync.Once
	// The first deployment stands still in the middle until the second waits.
	proxy.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/configmaps") {
			once.Do(func() { close(held) })
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				if p := second.Load(); p != nil && strings.Contains(p.log.String(), "another deployment is under way: waiting") {
					break
				}
			}
		}
		return false
	})
	first := w.start(proxy.Kubeconfig, "ci/run-1")
	<-held
	second.Store(w.start(w.on.Kubeconfig, "ci/run-2"))
	if err := first.Wait(); err != nil {
		t.Errorf("first: %v\n%s", err, first.log.String())
	}
	if err := second.Load().Wait(); err != nil {
		t.Errorf("second: %v\n%s", err, second.Load().log.String())
	}
	if log := second.Load().log.String(); !strings.Contains(log, "lease-holder=ci/run-1") {
		t.Errorf("the second does not say whom it waits for:\n%s", log)
	}
	if out := first.out.String(); !strings.Contains(out, "outcome=deployed") {
		t.Errorf("first: %s", out)
	}
	if out := second.Load().out.String(); !strings.Contains(out, "outcome=unchanged") || !strings.Contains(out, "revision=1") {
		t.Errorf("second: %s", out)
	}
	w.check("one")
}

// lockedBuffer may be read while a process still writes into it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
