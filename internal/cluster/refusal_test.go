package cluster_test

import (
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/redact"
)

// TestRefusal tells what stays as it is from what may cure itself, in the API
// server's own words.
func TestRefusal(t *testing.T) {
	pods, services := schema.GroupResource{Resource: "pods"}, schema.GroupKind{Kind: "Service"}
	forbidden := func(text string) error { return apierrors.NewForbidden(pods, "web", errors.New(text)) }
	for what, c := range map[string]struct {
		err  error
		want bool
	}{
		"invalid":                     {apierrors.NewInvalid(services, "web", nil), true},
		"an unknown field":            {apierrors.NewBadRequest("strict decoding error: unknown field"), true},
		"a webhook":                   {forbidden(`admission webhook "policy.example.com" denied the request: no latest`), true},
		"a policy":                    {forbidden(`ValidatingAdmissionPolicy 'replicas' with binding 'all' denied request: too many`), true},
		"PodSecurity":                 {forbidden(`violates PodSecurity "restricted:latest": privileged`), true},
		"missing rights":              {forbidden(`User "ada" cannot create resource "pods"`), false},
		"a quota":                     {forbidden("exceeded quota: small, requested: pods=1, used: pods=5, limited: pods=5"), false},
		"a namespace on its way":      {forbidden("unable to create new content in namespace web because it is being terminated"), false},
		"a conflict":                  {apierrors.NewConflict(pods, "web", errors.New("modified")), false},
		"too many requests":           {apierrors.NewTooManyRequests("later", 1), false},
		"a webhook that is not there": {apierrors.NewInternalError(errors.New(`failed calling webhook "policy.example.com"`)), false},
		"no answer":                   {errors.New("connection refused"), false},
		"one of several": {errors.Join(errors.New("connection refused"),
			fmt.Errorf("apply: %w", apierrors.NewInvalid(services, "web", nil))), true},
		"behind a secret": {redact.Error(fmt.Errorf("apply: %w", apierrors.NewInvalid(services, "web", nil)), "web"), true},
	} {
		if got := cluster.IsRefusal(c.err); got != c.want {
			t.Errorf("%s: %v, want %v: %v", what, got, c.want, c.err)
		}
	}
}
