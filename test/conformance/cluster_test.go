//go:build e2e

package conformance

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"knative.dev/pkg/apis"

	"github.com/lockstep-cd/lockstep/test/site"
)

// label marks everything that this test makes outside of its namespaces, and
// the namespaces.
const label = "lockstep.dev/conformance"

// cluster is the one that KUBECONFIG names, with Tekton on it.
type cluster struct {
	tekton *versioned.Clientset
	image  string // of every step
}

// newCluster connects, removes what an earlier time left, and makes a volume
// for each claim of the cases: the cluster has nothing that would.
func newCluster(t testing.TB, cases []testCase) *cluster {
	t.Helper()
	registry, image := os.Getenv("LOCKSTEP_REGISTRY_IN_CLUSTER"), os.Getenv("LOCKSTEP_IMAGE_USERLAND")
	if registry == "" || image == "" {
		t.Fatal("LOCKSTEP_IMAGE_USERLAND is not set: start the cluster and evaluate what `test/cluster full env` prints, as `make e2e` does")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 50, 100
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, path, _ := strings.Cut(image, "/")
	c := &cluster{tekton: client, image: registry + "/" + path}
	c.clean(t)
	t.Cleanup(func() { c.clean(t) })
	c.makeVolumes(t, cases)
	return c
}

func (c *cluster) clean(t testing.TB) {
	t.Helper()
	for _, kind := range []string{"namespaces", "persistentvolumes"} {
		if _, err := kubectl(context.WithoutCancel(t.Context()), "", "delete", kind, "-l", label, "--timeout=180s"); err != nil {
			t.Error(err)
		}
	}
}

func (c *cluster) makeVolumes(t testing.TB, cases []testCase) {
	t.Helper()
	var list bytes.Buffer
	dir := t.TempDir()
	for i := range claims(t, cases) {
		fmt.Fprintf(&list, `---
apiVersion: v1
kind: PersistentVolume
metadata: {name: conformance-%[1]d, labels: {%[2]s: ""}}
spec:
  capacity: {storage: 100Gi}
  accessModes: [ReadWriteOnce, ReadWriteMany, ReadOnlyMany]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: %[3]s, type: DirectoryOrCreate}
`, i, label, filepath.Join(dir, fmt.Sprint(i)))
	}
	if list.Len() == 0 {
		return
	}
	if _, err := kubectl(t.Context(), list.String(), "create", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// claims counts those that the cases make.
func claims(t testing.TB, cases []testCase) int {
	t.Helper()
	n := 0
	for _, tc := range cases {
		text, err := os.ReadFile(tc.path)
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(text), "kind: PersistentVolumeClaim") + strings.Count(string(text), "volumeClaimTemplate:")
	}
	return n
}

// run runs the runs of a file in a namespace of its own.
func (c *cluster) run(ctx context.Context, tc testCase, number int) (view, error) {
	namespace := fmt.Sprintf("conformance-%d", number)
	if err := c.makeNamespace(ctx, namespace); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(tc.path)
	if err != nil {
		return nil, err
	}
	patience := slowness
	if strings.HasPrefix(tc.name, ownPrefix) {
		patience = 1 // what its timeouts do is what it is about
	}
	manifests, names, err := c.rewrite(text, patience)
	if err != nil {
		return nil, err
	}
	// The CRD's schema asks for more than Tekton does: a name of each step.
	if _, err := kubectl(ctx, manifests, "create", "--validate=false", "-n", namespace, "-f", "-"); err != nil {
		return nil, err
	}
	all := view{}
	for _, n := range names {
		v, err := c.follow(ctx, namespace, n)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, v)
	}
	return all, nil
}

func (c *cluster) makeNamespace(ctx context.Context, name string) error {
	manifest := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s: \"\"}}\n", name, label)
	if _, err := kubectl(ctx, manifest, "create", "-f", "-"); err != nil {
		return err
	}
	return site.Until(ctx, "the ServiceAccount of "+name, func(ctx context.Context) (bool, error) {
		_, err := kubectl(ctx, "", "get", "serviceaccount", "default", "-n", name)
		return err == nil, err
	})
}

// runName is a run of a file.
type runName struct{ kind, name string }

// follow waits for the end of a run and of all its TaskRuns.
func (c *cluster) follow(ctx context.Context, namespace string, n runName) (view, error) {
	var pr *pipelinev1.PipelineRun
	taskRuns := map[string]*pipelinev1.TaskRun{}
	err := site.Until(ctx, "the end of "+n.kind+" "+n.name, func(ctx context.Context) (bool, error) {
		var err error
		if n.kind == "TaskRun" {
			taskRuns[n.name], err = c.tekton.TektonV1().TaskRuns(namespace).Get(ctx, n.name, metav1.GetOptions{})
			return err == nil && ended(taskRuns[n.name].Status.GetCondition(apis.ConditionSucceeded)), err
		}
		if pr, err = c.tekton.TektonV1().PipelineRuns(namespace).Get(ctx, n.name, metav1.GetOptions{}); err != nil {
			return false, err
		}
		if !ended(pr.Status.GetCondition(apis.ConditionSucceeded)) {
			return false, nil
		}
		list, err := c.tekton.TektonV1().TaskRuns(namespace).List(ctx, metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + n.name})
		if err != nil {
			return false, err
		}
		done := true
		for i, tr := range list.Items {
			taskRuns[tr.Name] = &list.Items[i]
			done = done && ended(tr.Status.GetCondition(apis.ConditionSucceeded))
		}
		return done, nil
	})
	return viewOf(pr, taskRuns, namespace), err
}

func ended(c *apis.Condition) bool { return c != nil && !c.IsUnknown() }

// kubectl runs kubectl with text as its standard input.
func kubectl(ctx context.Context, text string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Stdin = strings.NewReader(text)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
