package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/release"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"verify": main}) }

// TestSessions runs each session with a namespace $NAMESPACE of its own on the
// light cluster. Its nodes are simulated: pods become ready by themselves, but
// no container is executed. What a kubelet would report is staged, for pods that
// are kept away from those nodes.
func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			on := clustertest.Start(t)
			env.Values["cluster"] = on
			env.Setenv("KUBECONFIG", on.Kubeconfig)
			env.Setenv("NAMESPACE", on.Namespace)
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("TMPDIR", env.WorkDir+"/tmp")
			return os.Mkdir(env.WorkDir+"/tmp", 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"closeport": closePort,
			"commit":    commit,
			"deploy":    deploy,
			"finish":    finish,
			"kubelet":   kubelet,
			"scale":     scale,
		},
	})
}

func clusterOf(ts *testscript.TestScript) *clustertest.Cluster {
	return ts.Value("cluster").(*clustertest.Cluster)
}

// commit makes a folder a checkout with one more commit: commit <folder>
func commit(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		ts.Check(ts.Exec("git", "init", "-q", "-b", "main", dir))
	}
	ts.Check(ts.Exec("git", "-C", dir, "add", "-A", "--force"))
	ts.Check(ts.Exec("git", "-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "change"))
}

// deploy does what helm-apply would: deploy <folder>
func deploy(ts *testscript.TestScript, neg bool, args []string) {
	ctx := context.Background()
	dir := ts.MkAbs(args[0])
	client, err := cluster.Connect(ctx, clusterOf(ts).Namespace)
	ts.Check(err)
	rel, err := release.Open(client, "staging")
	ts.Check(err)
	c, err := chart.Load(ctx, dir, chart.Options{Cache: ts.MkAbs("cache")})
	ts.Check(err)
	d := release.Deployment{Chart: c, Timeout: time.Minute}
	if repository, err := git.Open(dir); err == nil {
		_, head, err := repository.Head()
		ts.Check(err)
		d.Commit = string(head)
	}
	_, err = rel.Deploy(d)
	ts.Check(err)
}

// kubelet runs the pods of Deployments that no node has, in the background.
func kubelet(ts *testscript.TestScript, neg bool, args []string) {
	on := clusterOf(ts)
	go func() {
		pods := on.Kubernetes.CoreV1().Pods(on.Namespace)
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			list, err := pods.List(context.Background(), metav1.ListOptions{LabelSelector: "app"})
			if err != nil {
				continue
			}
			for _, p := range list.Items {
				if p.Spec.SchedulerName == clustertest.Unscheduled && p.Status.Phase == core.PodPending {
					_, _ = pods.Patch(context.Background(), p.Name, types.MergePatchType, []byte(`{"status":{"phase":"Running",
						"conditions":[{"type":"Ready","status":"True"},{"type":"ContainersReady","status":"True"}],
						"containerStatuses":[{"name":"web","image":"example.com/web","imageID":"example.com/web@sha256:1a2b","containerID":"containerd://1a2b",
						"ready":true,"restartCount":0,"state":{"running":{}}}]}}`), metav1.PatchOptions{}, "status")
				}
			}
		}
	}()
}

// finish ends the pod of a Helm test as soon as it exists, in the background,
// as a kubelet does: finish <pod> Succeeded|Failed
func finish(ts *testscript.TestScript, neg bool, args []string) {
	on, code := clusterOf(ts), "0"
	if args[1] == "Failed" {
		code = "1"
	}
	status := []byte(`{"status":{"phase":"` + args[1] + `","containerStatuses":[{"name":"test","image":"example.com/test:1","imageID":"example.com/test@sha256:1a2b",
		"containerID":"containerd://1a2b","ready":false,"restartCount":0,"state":{"terminated":{"exitCode":` + code + `}}}]}}`)
	go func() {
		pods := on.Kubernetes.CoreV1().Pods(on.Namespace)
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			pod, err := pods.Get(context.Background(), args[0], metav1.GetOptions{})
			if err != nil || pod.Status.Phase != core.PodPending {
				continue // the one of an earlier test is still there
			}
			if _, err := pods.Patch(context.Background(), args[0], types.MergePatchType, status, metav1.PatchOptions{}, "status"); err == nil {
				return
			}
		}
	}()
}

// scale changes a Deployment by hand: scale <name>
func scale(ts *testscript.TestScript, neg bool, args []string) {
	on := clusterOf(ts)
	_, err := on.Kubernetes.AppsV1().Deployments(on.Namespace).Patch(context.Background(), args[0], types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"example.com/other:1"}]}}}}`), metav1.PatchOptions{})
	ts.Check(err)
}

// closePort leaves a Service only its first port, by hand: closeport <name>
func closePort(ts *testscript.TestScript, neg bool, args []string) {
	on := clusterOf(ts)
	_, err := on.Kubernetes.CoreV1().Services(on.Namespace).Patch(context.Background(), args[0], types.JSONPatchType,
		[]byte(`[{"op":"remove","path":"/spec/ports/1"}]`), metav1.PatchOptions{})
	ts.Check(err)
}
