package clustertest

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lockstep-cd/lockstep/internal/cluster"
)

// tektonKinds is where the definitions of Tekton's kinds are, by module.
var tektonKinds = map[string]string{
	"github.com/tektoncd/pipeline": "config/300-crds/*.yaml",
	"github.com/tektoncd/triggers": "config/300-*.yaml",
}

// versionNote tells which module a definition is from: it is applied once.
const versionNote = "clustertest.lockstep.dev/from"

// Tekton gives the cluster Tekton's kinds, as the modules that we are built with
// define them. No controller and no webhook of Tekton's looks at what is made of
// them. They stay: other tests use them as well.
func (c *Cluster) Tekton(t testing.TB) {
	t.Helper()
	definitions := c.Dynamic(t).Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	var names []string
	for module, pattern := range tektonKinds {
		dir := moduleDir(t, module)
		for _, o := range manifests(t, filepath.Join(dir, pattern)) {
			names = append(names, o.GetName())
			there, err := definitions.Get(t.Context(), o.GetName(), metav1.GetOptions{})
			if err == nil && there.GetAnnotations()[versionNote] == filepath.Base(dir) {
				continue
			}
			unstructured.RemoveNestedField(o.Object, "spec", "conversion") // the webhook that would do it does not run
			o.SetAnnotations(map[string]string{versionNote: filepath.Base(dir)})
			if _, err := definitions.Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "clustertest", Force: true}); err != nil {
				t.Fatalf("define %s: %v", o.GetName(), err)
			}
		}
	}
	for _, name := range names {
		Eventually(t, name, func() error {
			o, err := definitions.Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
			if !slices.ContainsFunc(conditions, func(c any) bool {
				condition, _ := c.(map[string]any)
				return condition["type"] == "Established" && condition["status"] == "True"
			}) {
				return errors.New("not established")
			}
			return nil
		})
	}
}

func moduleDir(t testing.TB, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("find the module %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}

// Root is the folder of our own module.
func Root(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// manifests are the objects in the files of a pattern.
func manifests(t testing.TB, pattern string) []*unstructured.Unstructured {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("nothing in %s: %v", pattern, err)
	}
	var all []*unstructured.Unstructured
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := cluster.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, objects...)
	}
	return all
}

// siteSecrets are what the test's namespace gets from Lockstep, and what is in them.
var siteSecrets = map[string]map[string]string{
	"lockstep-git":      {"username": "lockstep", "password": "canary-hunter2-canary"},
	"lockstep-registry": {"config.json": `{"auths":{}}`},
}

// Lockstep makes the test's namespace the one that reconcile runs in: with Tekton's
// kinds, our Tasks, Pipelines and Triggers as they are in the repository, the secrets,
// and the rights of examples/site/lockstep.yaml. It returns a kubeconfig of reconcile's
// service account, which has those rights and no others. The ClusterRoles have the
// same names and content for every test, and stay.
func (c *Cluster) Lockstep(t testing.TB) string {
	t.Helper()
	c.Tekton(t)
	for _, o := range c.site(t) {
		c.Apply(t, o)
	}
	for _, o := range manifests(t, filepath.Join(moduleDir(t, "github.com/tektoncd/triggers"), "config", "200-clusterrole.yaml")) {
		if o.GetName() == "tekton-triggers-eventlistener-clusterroles" {
			c.Apply(t, o)
		}
	}
	c.applyInto(t, c.Namespace, "tasks/*/*.yaml", "pipelines/environment/*.yaml", "pipelines/triggers/*.yaml")
	for name, content := range siteSecrets {
		data := map[string]any{}
		for key, value := range content {
			data[key] = value
		}
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": data}}
		o.SetName(name)
		o.SetNamespace(c.Namespace)
		c.Apply(t, o)
	}
	return c.Impersonate(t, "lockstep-reconcile")
}

// ApplicationsNamespace makes one for the pipelines of applications, as
// examples/site/applications.yaml describes it, with the Pipeline, the Triggers and the
// secret of the listener, and returns its name. Lockstep's account has the rights there that the file gives it.
func (c *Cluster) ApplicationsNamespace(t testing.TB) string {
	t.Helper()
	name := c.Short() + "-applications"
	c.RemoveNamespaces(t, name)
	for _, o := range filled(t, "applications.yaml", map[string]string{"APPLICATIONS_NAMESPACE": name, "LOCKSTEP_NAMESPACE": c.Namespace}) {
		c.Apply(t, o)
	}
	c.applyInto(t, name, "pipelines/application/*.yaml", "pipelines/triggers/*.yaml")
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": map[string]any{"secret": "canary-of-applications"}}}
	o.SetName("lockstep-webhook")
	o.SetNamespace(name)
	c.Apply(t, o)
	return name
}

// applyInto applies files of our module in a namespace.
func (c *Cluster) applyInto(t testing.TB, namespace string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		for _, o := range manifests(t, filepath.Join(Root(t), filepath.FromSlash(pattern))) {
			o.SetNamespace(namespace)
			admitted(o)
			c.Apply(t, o)
		}
	}
}

// admitted makes of a Task what Tekton's admission webhook would: workspaces of steps
// have a mountPath, be it empty, without which the API server does not take them.
func admitted(o *unstructured.Unstructured) {
	steps, _, _ := unstructured.NestedSlice(o.Object, "spec", "steps")
	if o.GetKind() != "Task" || steps == nil {
		return
	}
	for _, step := range steps {
		workspaces, _ := step.(map[string]any)["workspaces"].([]any)
		for _, w := range workspaces {
			if w := w.(map[string]any); w["mountPath"] == nil {
				w["mountPath"] = ""
			}
		}
	}
	o.Object["spec"].(map[string]any)["steps"] = steps
}

// site reads lockstep.yaml for the test's namespace. The ClusterRoleBinding gets a
// name of its own, since its subject is of the test's own; the CronJob is left out,
// for nothing shall start by itself here.
func (c *Cluster) site(t testing.TB) []*unstructured.Unstructured {
	t.Helper()
	objects := filled(t, "lockstep.yaml", map[string]string{"LOCKSTEP_NAMESPACE": c.Namespace})
	for _, o := range objects {
		if o.GetKind() == "ClusterRoleBinding" {
			name := o.GetName() + "-" + c.Namespace
			o.SetName(name)
			t.Cleanup(func() {
				_ = c.Kubernetes.RbacV1().ClusterRoleBindings().Delete(context.Background(), name, metav1.DeleteOptions{})
			})
		}
	}
	return slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "CronJob" })
}

// filled reads a file of examples/site; what has no value is "unused".
func filled(t testing.TB, file string, values map[string]string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(t), "examples", "site", file))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := cluster.Parse([]byte(os.Expand(string(text), func(name string) string { return cmp.Or(values[name], "unused") })))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// Apply makes an object what it says, with an administrator's rights.
func (c *Cluster) Apply(t testing.TB, o *unstructured.Unstructured) {
	t.Helper()
	_, err := c.Objects(t, o.GetAPIVersion(), o.GetKind(), o.GetNamespace()).Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "clustertest", Force: true})
	if err != nil {
		t.Fatalf("apply %s %s: %v", o.GetKind(), o.GetName(), err)
	}
}

// Objects reaches the objects of a kind as an administrator.
func (c *Cluster) Objects(t testing.TB, apiVersion, kind, namespace string) dynamic.ResourceInterface {
	t.Helper()
	resource, _ := meta.UnsafeGuessKindToResource(schema.FromAPIVersionAndKind(apiVersion, kind))
	if namespace == "" {
		return c.Dynamic(t).Resource(resource)
	}
	return c.Dynamic(t).Resource(resource).Namespace(namespace)
}

// Impersonate returns a kubeconfig of a service account of the test's namespace.
func (c *Cluster) Impersonate(t testing.TB, account string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "system:serviceaccount:" + c.Namespace + ":" + account
		user.ImpersonateGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + c.Namespace, "system:authenticated"}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Short is a name for namespaces of the test's own beside Namespace, with room for
// suffixes.
func (c *Cluster) Short() string {
	return "t" + c.Namespace[strings.LastIndex(c.Namespace, "-")+1:]
}

// RemoveNamespaces deletes namespaces, and the ClusterRoleBindings of their listeners,
// when the test is over.
func (c *Cluster) RemoveNamespaces(t testing.TB, names ...string) {
	t.Cleanup(func() {
		for _, name := range names {
			err := c.Kubernetes.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
			if err == nil || apierrors.IsNotFound(err) {
				err = c.Kubernetes.RbacV1().ClusterRoleBindings().Delete(context.Background(), "lockstep-webhook-"+name, metav1.DeleteOptions{})
			}
			if err != nil && !apierrors.IsNotFound(err) {
				t.Errorf("remove %s: %v", name, err)
			}
		}
	})
}

// snapshotKinds are the kinds that a snapshot looks at.
var snapshotKinds = map[string][]string{
	"v1":                           {"Secret", "ServiceAccount", "ConfigMap"},
	"rbac.authorization.k8s.io/v1": {"Role", "RoleBinding"},
	"tekton.dev/v1":                {"Task", "Pipeline", "PipelineRun"},
	"triggers.tekton.dev/v1beta1":  {"Trigger", "TriggerTemplate", "TriggerBinding", "EventListener"},
}

// Snapshot is what the namespaces have of the kinds that environments are made of,
// the namespaces themselves, and the ClusterRoleBindings named after them: the objects
// by "<namespace>/<Kind> <name>". What Kubernetes puts into every namespace is left out.
func (c *Cluster) Snapshot(t testing.TB, namespaces ...string) map[string]unstructured.Unstructured {
	t.Helper()
	found := map[string]unstructured.Unstructured{}
	keep := func(namespace string, o unstructured.Unstructured) {
		if o.GetName() != "default" && o.GetName() != "kube-root-ca.crt" {
			found[namespace+"/"+o.GetKind()+" "+o.GetName()] = o
		}
	}
	one := func(namespace, apiVersion, kind, name string) {
		o, err := c.Objects(t, apiVersion, kind, "").Get(t.Context(), name, metav1.GetOptions{})
		if err == nil {
			keep(namespace, *o)
		} else if !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	for _, namespace := range namespaces {
		one(namespace, "v1", "Namespace", namespace)
		one(namespace, "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "lockstep-webhook-"+namespace)
		for apiVersion, kinds := range snapshotKinds {
			for _, kind := range kinds {
				list, err := c.Objects(t, apiVersion, kind, namespace).List(t.Context(), metav1.ListOptions{})
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range list.Items {
					keep(namespace, o)
				}
			}
		}
	}
	return found
}
