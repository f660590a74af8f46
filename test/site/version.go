package site

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Version is the version of an application, by its alias, that the control plane
// holds for an environment.
func (t *team) Version(ctx context.Context, e Environment, alias string) (string, error) {
	client, err := t.kubernetes()
	if err != nil {
		return "", err
	}
	d, err := client.AppsV1().Deployments(e.Namespace).Get(ctx, e.Name+"-"+alias, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	version := d.Labels["app.kubernetes.io/version"]
	if version == "" {
		return "", errors.New("the Deployment does not say its version")
	}
	return version, nil
}

func (t *team) kubernetes() (kubernetes.Interface, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = t.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}
