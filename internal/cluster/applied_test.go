package cluster_test

import (
	"strings"
	"testing"
)

func TestRow62_VersionsThatAreGone(t *testing.T) {
	s := newSite(t)
	objects, gone, err := s.client.Applied(`# nothing
---
apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: a}
---
apiVersion: v1
kind: List
items:
- {apiVersion: policy/v1beta1, kind: PodDisruptionBudget, metadata: {name: b}}
- {apiVersion: batch/v1beta1, kind: CronJob, metadata: {name: c}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: d}, data: {big: "9007199254740993"}}
---
apiVersion: extensions/v1beta1
kind: PodSecurityPolicy
metadata: {name: e}
---
apiVersion: gone.example.com/v1
kind: Thing
metadata: {name: f}
`)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, o := range objects {
		found = append(found, o.Resource.GroupVersion().String()+" "+o.String())
	}
	s.wants("served", strings.Join(found, ", "), "networking.k8s.io/v1 Ingress a, policy/v1 PodDisruptionBudget b, batch/v1 CronJob c, v1 ConfigMap d")
	s.wants("gone", strings.Join(gone, ", "), "PodSecurityPolicy e, Thing f")
}
