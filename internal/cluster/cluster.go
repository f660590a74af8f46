// Package cluster reaches a Kubernetes cluster: it reads and applies objects,
// says what applying them would change, watches them, and keeps the lease that
// lets one deployment at a time touch a release. It knows nothing of charts or
// of Git.
//
// A Client lives as long as the context it was connected with. Every request
// ends with that context, also those of libraries that take none, so that a
// stopped program stops touching the cluster at once.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/lockstep-cd/lockstep/internal/clock"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// recordingTime is how long a client from Detached goes on after the context
// ended: a program has 10 s in all to leave a state that a re-run converges from.
const recordingTime = 6 * time.Second

// Client is a connection to one cluster with one default namespace.
type Client struct {
	namespace string
	alive     context.Context
	raw       clientcmd.ClientConfig
	config    *rest.Config
	clock     *clock.Server // the API server's, so that leases of several machines are judged by one clock
	typed     kubernetes.Interface
	dynamic   dynamic.Interface
	discovery discovery.CachedDiscoveryInterface
	mapper    *restmapper.DeferredDiscoveryRESTMapper
}

// Connect finds the cluster as kubectl does – KUBECONFIG, then the kubeconfig
// of the home folder, then the service account of the pod – and checks nothing
// yet. An empty namespace is the context's own. Every request of the client
// ends with ctx.
func Connect(ctx context.Context, namespace string) (*Client, error) {
	return ConnectWith(ctx, "", namespace)
}

// ConnectWith is Connect with the path of a kubeconfig; "": as kubectl finds it.
func ConnectWith(ctx context.Context, kubeconfig, namespace string) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	overrides := &clientcmd.ConfigOverrides{}
	overrides.Context.Namespace = namespace
	raw := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := raw.ClientConfig()
	if err != nil {
		return nil, fault.Usage("ClusterUnknown", fmt.Errorf("find the cluster to talk to: %w", err),
			"set KUBECONFIG, or run in a pod with a service account")
	}
	if namespace == "" {
		if namespace, _, err = raw.Namespace(); err != nil {
			return nil, fmt.Errorf("read the namespace of the kubeconfig: %w", err)
		}
	}
	c := &Client{namespace: namespace, raw: raw, config: config, clock: &clock.Server{}}
	if err := c.bind(ctx); err != nil {
		return nil, err
	}
	c.discover()
	return c, nil
}

// In is the same cluster with another default namespace, for as long as ctx
// lives. It knows the kinds that c has found, and looks for others as c does,
// so c must live as long.
func (c *Client) In(ctx context.Context, namespace string) (*Client, error) {
	in := *c
	in.namespace = namespace
	in.raw = inNamespace{c.raw, namespace}
	return &in, in.bind(ctx)
}

// inNamespace is a kubeconfig whose context has another namespace.
type inNamespace struct {
	kubeconfig
	namespace string
}

type kubeconfig = clientcmd.ClientConfig // whose name an embedded field cannot have: it is a method's

func (c inNamespace) Namespace() (string, bool, error) { return c.namespace, true, nil }

// discover forgets which kinds the cluster has; they are looked for when one is needed.
func (c *Client) discover() {
	c.discovery = memory.NewMemCacheClient(c.typed.Discovery())
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(c.discovery)
}

// bind makes the clients whose requests end with ctx.
func (c *Client) bind(ctx context.Context) error {
	bound := rest.CopyConfig(c.config)
	// The server's own flow control bounds us; client-go's default of five
	// requests a second would make every deployment slow.
	bound.QPS, bound.Burst = 100, 200
	bound.UserAgent = "lockstep"
	server := c.clock
	bound.WrapTransport = nil
	bound.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &boundTransport{until: ctx, next: next, clock: server}
	})
	c.alive, c.config = ctx, bound
	var err error
	if c.typed, err = kubernetes.NewForConfig(bound); err != nil {
		return fmt.Errorf("make a client for %s: %w", bound.Host, err)
	}
	if c.dynamic, err = dynamic.NewForConfig(bound); err != nil {
		return fmt.Errorf("make a client for %s: %w", bound.Host, err)
	}
	return nil
}

// init keeps client-go's own log away: it repeats, unredacted and in the middle
// of our lines, what the errors of its calls say. Only before anything runs may
// that be set: everything that logs reads it without a lock.
func init() { klog.SetLogger(logr.Discard()) }

// Detached is the same cluster for what must still be written down after the
// client's context has ended, such as a failed revision or the end of a lease:
// its requests go on for a few seconds longer.
func (c *Client) Detached() (*Client, error) {
	late, err := c.In(extend(c.alive, recordingTime), c.namespace)
	if err != nil {
		return nil, err
	}
	late.discover() // what c looks for ends with c
	return late, nil
}

// Ended is why the client's context has ended, nil while it has not. Libraries
// lose that on the way through their own errors.
func (c *Client) Ended() error { return context.Cause(c.alive) }

// Namespace is the namespace for everything that names none.
func (c *Client) Namespace() string { return c.namespace }

// Now is the time by the cluster's clock, to the second. Before the first
// answer of the server it is this machine's.
func (c *Client) Now() time.Time { return c.clock.Now() }

// ToRESTConfig, ToDiscoveryClient, ToRESTMapper and ToRawKubeConfigLoader make
// a Client what Helm and kubectl's libraries call a RESTClientGetter. Discovery
// is cached in memory: the root file system may be read-only.

func (c *Client) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(c.config), nil }

func (c *Client) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return c.discovery, nil
}

func (c *Client) ToRESTMapper() (meta.RESTMapper, error) { return c.mapper, nil }

func (c *Client) ToRawKubeConfigLoader() clientcmd.ClientConfig { return c.raw }

// IsAnswer reports whether err is the API server's own answer or the lack of
// one, in contrast to something that went wrong on this side.
func IsAnswer(err error) bool {
	var status apierrors.APIStatus
	var request *url.Error
	var network net.Error
	return errors.As(err, &status) || errors.As(err, &request) || errors.As(err, &network)
}

// IsRefusal reports whether err holds an answer of the API server that stays
// the same until the object or a policy is changed: it is invalid, or
// admission denied it. What may cure itself is none: rights that are about to
// be granted, an exhausted quota, a namespace that is being deleted.
func IsRefusal(err error) bool {
	switch wrapped := err.(type) {
	case apierrors.APIStatus:
		return refuses(wrapped.Status())
	case interface{ Unwrap() error }:
		return IsRefusal(wrapped.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(wrapped.Unwrap(), IsRefusal)
	}
	return false
}

func refuses(status metav1.Status) bool {
	switch status.Reason {
	case metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest, metav1.StatusReasonMethodNotAllowed, metav1.StatusReasonRequestEntityTooLarge:
		return true
	}
	// Webhooks, policies and PodSecurity deny with a code of their own choice: only their words tell them from missing rights.
	return status.Code >= 400 && status.Code < 500 &&
		(strings.Contains(status.Message, "denied the request") || strings.Contains(status.Message, "denied request") || strings.Contains(status.Message, "violates PodSecurity"))
}

// IsNotFound reports whether err is the API server's "not found".
func IsNotFound(err error) bool { return apierrors.IsNotFound(err) }
