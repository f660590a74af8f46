// Package clustertest gives tests a real API server: the light profile of
// test/cluster, where nodes are simulated and no container is executed.
// Without it a test fails; it is never skipped.
package clustertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lockstep-cd/lockstep/internal/cluster"
)

// Unscheduled as a pod's schedulerName keeps it away from the real scheduler
// and thereby from the simulated nodes: its status is the test's to write.
const Unscheduled = "clustertest"

// Cluster is a namespace of its own on the cluster that all tests share.
type Cluster struct {
	Kubeconfig string // of an administrator
	Namespace  string
	Kubernetes kubernetes.Interface
	Config     *rest.Config
}

// Start starts the light profile unless it runs, creates a namespace for the
// test, and removes it afterwards. KUBECONFIG of this process, and of the
// programs it starts, points to the cluster from then on.
func Start(t testing.TB) *Cluster {
	t.Helper()
	kubeconfig, err := up()
	if err != nil {
		t.Fatalf("the light cluster of test/cluster is needed and did not start: %v", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatalf("read %s: %v", kubeconfig, err)
	}
	config.QPS, config.Burst = 100, 200
	c := &Cluster{Kubeconfig: kubeconfig, Namespace: namespaceName(t.Name()), Config: config}
	if c.Kubernetes, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	c.createNamespace(t)
	return c
}

// up is called once for all tests of a process.
var up = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	dir := filepath.Join(filepath.Dir(strings.TrimSpace(string(root))), "test", "cluster")
	if out, err := program(dir, "light", "up"); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	out, err := program(dir, "light", "env")
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	for line := range strings.Lines(out) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "export KUBECONFIG="); ok {
			path = strings.Trim(path, `"'`)
			return path, os.Setenv("KUBECONFIG", path)
		}
	}
	return "", fmt.Errorf("`go run . light env` in %s names no KUBECONFIG:\n%s", dir, out)
})

func program(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", append([]string{"run", "."}, args...)...)
	cmd.Dir = dir
	var all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &all, &all
	if err := cmd.Run(); err != nil {
		return all.String(), fmt.Errorf("go run . %s in %s: %w", strings.Join(args, " "), dir, err)
	}
	return all.String(), nil
}

func (c *Cluster) createNamespace(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	_, err := c.Kubernetes.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.Namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create namespace %s: %v", c.Namespace, err)
	}
	t.Cleanup(func() {
		if err := c.Kubernetes.CoreV1().Namespaces().Delete(ctx, c.Namespace, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete namespace %s: %v", c.Namespace, err)
		}
	})
}

// Client connects as an administrator, with the test's namespace.
func (c *Cluster) Client(t testing.TB) *cluster.Client {
	t.Helper()
	return c.ClientWith(t, c.Kubeconfig)
}

// ClientWith connects with a kubeconfig, with the test's namespace.
func (c *Cluster) ClientWith(t testing.TB, kubeconfig string) *cluster.Client {
	t.Helper()
	client, err := cluster.ConnectWith(t.Context(), kubeconfig, c.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Eventually calls check until it returns nil, and fails the test with its last
// error after a minute.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("wait for %s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// namespaceName makes a name of at most 63 characters that tells the test and
// is used by no other.
func namespaceName(test string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, test)
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	return strings.Trim(name[:min(len(name), 50)], "-") + "-" + hex.EncodeToString(random)
}
