package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"helm-apply": main}) }

// TestSessions runs each session with a namespace $NAMESPACE of its own on the
// light cluster, and an empty repository at $URL.
func TestSessions(t *testing.T) {
	server := gittest.NewServer(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			on := clustertest.Start(t)
			repository := server.Create(on.Namespace, nil)
			env.Values["cluster"], env.Values["repository"] = on, repository
			env.Setenv("KUBECONFIG", on.Kubeconfig)
			env.Setenv("NAMESPACE", on.Namespace)
			env.Setenv("URL", repository.URL)
			env.Setenv("REPOSITORY", repository.Dir)
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("TMPDIR", env.WorkDir+"/tmp")
			env.Defer(func() { // where a session created it
				_ = on.Kubernetes.CoreV1().Namespaces().Delete(context.Background(), on.Namespace+"-b", metav1.DeleteOptions{})
			})
			return os.Mkdir(env.WorkDir+"/tmp", 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     gittest.Exits,
			"push":      push,
			"reset":     reset,
			"configmap": configMap,
			"edit":      editConfigMap,
			"versions":  versions,
		},
	})
}

func repositoryOf(ts *testscript.TestScript) *gittest.Repository {
	return ts.Value("repository").(*gittest.Repository)
}

func clusterOf(ts *testscript.TestScript) *clustertest.Cluster {
	return ts.Value("cluster").(*clustertest.Cluster)
}

// push commits a folder to the branch main and sets a variable to the commit:
// push <folder> <VARIABLE>
func push(ts *testscript.TestScript, neg bool, args []string) {
	files := gittest.Files{}
	root := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root+"/")] = string(content)
		return err
	}))
	ts.Setenv(args[1], repositoryOf(ts).Commit("from "+args[0], files))
}

// reset moves the branch main: reset <commit>
func reset(ts *testscript.TestScript, neg bool, args []string) {
	repositoryOf(ts).Git("update-ref", "refs/heads/main", args[0])
}

// configmap checks the value of the key "key": configmap <name> <value>
func configMap(ts *testscript.TestScript, neg bool, args []string) {
	on := clusterOf(ts)
	found, err := on.Kubernetes.CoreV1().ConfigMaps(on.Namespace).Get(context.Background(), args[0], metav1.GetOptions{})
	if neg {
		if err == nil {
			ts.Fatalf("ConfigMap %s exists", args[0])
		}
		return
	}
	ts.Check(err)
	if found.Data["key"] != args[1] {
		ts.Fatalf("ConfigMap %s has %q, want %q", args[0], found.Data["key"], args[1])
	}
}

// edit changes a ConfigMap by hand: edit <name> <value>
func editConfigMap(ts *testscript.TestScript, neg bool, args []string) {
	on := clusterOf(ts)
	found, err := on.Kubernetes.CoreV1().ConfigMaps(on.Namespace).Get(context.Background(), args[0], metav1.GetOptions{})
	ts.Check(err)
	found.Data["key"] = args[1]
	_, err = on.Kubernetes.CoreV1().ConfigMaps(on.Namespace).Update(context.Background(), found, metav1.UpdateOptions{})
	ts.Check(err)
}

// versions prints the resourceVersion of every object that a deployment may
// write, for a comparison of before and after.
func versions(ts *testscript.TestScript, neg bool, args []string) {
	on := clusterOf(ts)
	ctx := context.Background()
	maps, err := on.Kubernetes.CoreV1().ConfigMaps(on.Namespace).List(ctx, metav1.ListOptions{})
	ts.Check(err)
	secrets, err := on.Kubernetes.CoreV1().Secrets(on.Namespace).List(ctx, metav1.ListOptions{})
	ts.Check(err)
	for _, m := range maps.Items {
		fmt.Fprintf(ts.Stdout(), "configmap %s %s\n", m.Name, m.ResourceVersion)
	}
	for _, s := range secrets.Items {
		fmt.Fprintf(ts.Stdout(), "secret %s %s\n", s.Name, s.ResourceVersion)
	}
}
