package clustertest

import (
	"context"
	"path/filepath"
	"testing"

	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// Account returns a kubeconfig of a service account that has the rights of a
// Role in the test's namespace, and no others.
func (c *Cluster) Account(t testing.TB, role *rbac.Role) string {
	t.Helper()
	ctx := context.Background()
	if _, err := c.Kubernetes.RbacV1().Roles(c.Namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create the role: %v", err)
	}
	_, err := c.Kubernetes.RbacV1().RoleBindings(c.Namespace).Create(ctx, &rbac.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbac.Subject{{Kind: "ServiceAccount", Name: role.Name, Namespace: c.Namespace}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("bind the role: %v", err)
	}
	config, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "system:serviceaccount:" + c.Namespace + ":" + role.Name
		user.ImpersonateGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + c.Namespace, "system:authenticated"}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}
