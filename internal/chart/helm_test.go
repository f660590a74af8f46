package chart_test

import (
	"context"
	"io"
	"testing"

	helmregistry "helm.sh/helm/v3/pkg/registry"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/registry"
	"github.com/lockstep-cd/lockstep/internal/registry/registrytest"
)

// TestHelmPullsWhatWePublishAndTheOtherWayRound uses Helm's own registry client.
func TestHelmPullsWhatWePublishAndTheOtherWayRound(t *testing.T) {
	server := registrytest.New(t)
	helm, err := helmregistry.NewClient(helmregistry.ClientOptPlainHTTP(), helmregistry.ClientOptWriter(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	pushed := publish(t, "oci://"+server.Host()+"/charts", "user-service", "1.2.3+build.5")
	pulled, err := helm.Pull(server.Host() + "/charts/user-service:1.2.3+build.5")
	if err != nil {
		t.Fatal(err)
	}
	if pulled.Manifest.Digest != pushed.Digest || pulled.Chart.Meta.Name != "user-service" || pulled.Chart.Meta.Version != "1.2.3+build.5" {
		t.Errorf("helm pulled %s %+v, we published %s", pulled.Manifest.Digest, pulled.Chart.Meta, pushed.Digest)
	}

	theirs := pack(t, service("billing-service", "1.0.0"), chart.PackageOptions{})
	if _, err := helm.Push(theirs.Archive, server.Host()+"/charts/billing-service:1.0.0"); err != nil {
		t.Fatal(err)
	}
	again, err := chart.Push(context.Background(), theirs, "oci://"+server.Host()+"/charts", registry.Access{})
	if err != nil || !again.Existed {
		t.Errorf("the same archive that helm pushed: %+v, %v", again, err)
	}
	c, err := load(t, umbrella("- {name: billing-service, version: 1.0.0, repository: \"oci://"+server.Host()+"/charts\"}\n"))
	if err != nil || len(c.Dependencies()) != 1 {
		t.Errorf("what helm pushed: %v", err)
	}
}
