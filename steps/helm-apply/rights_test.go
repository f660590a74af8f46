package main

import (
	"os"
	"strings"
	"testing"
	"time"

	rbac "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/release"
	"github.com/lockstep-cd/lockstep/internal/rollout"
)

// documentedRole is the Role that the README shows.
func documentedRole(t *testing.T) *rbac.Role {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\n")
	block, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("README.md shows no Role")
	}
	role := &rbac.Role{}
	if err := yaml.UnmarshalStrict([]byte(block), role); err != nil {
		t.Fatal(err)
	}
	return role
}

func TestTheDocumentedRightsSuffice(t *testing.T) {
	w := newWorld(t)
	account := w.on.Account(t, documentedRole(t))
	w.repository.Commit("a workload", gittest.Files{"templates/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "example.com/web:{{ .Values.key }}"}]
---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: {{ .Values.key }}}
`})
	for _, key := range []string{"one", "two", "two"} {
		w.repository.Commit(key, gittest.Files{"values.yaml": "key: " + key + "\n"})
		p := w.start(account, "ci/run-1", "--keep-lease=1m")
		if err := p.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, p.log.String())
		}
	}
	again := w.start(account, "ci/run-1") // looks for drift
	if err := again.Wait(); err != nil || !strings.Contains(again.out.String(), "unchanged") {
		t.Fatalf("%v\n%s%s", err, again.out.String(), again.log.String())
	}
	w.check("two")
	verifyAs(t, w, account)
}

// verifyAs does what verify does, through the same rooms.
func verifyAs(t *testing.T, w *world, account string) {
	t.Helper()
	client := w.on.ClientWith(t, account)
	rel, err := release.Open(client, "staging")
	if err != nil {
		t.Fatal(err)
	}
	last, err := rel.Last()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := rel.Objects(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := rollout.Wait(t.Context(), client, objects, rollout.Options{Timeout: time.Minute, CrashLimit: 3, Grace: time.Minute}); err != nil {
		t.Error(err)
	}
	if differences, err := client.Compare(objects, objects); err != nil || len(differences) > 0 {
		t.Errorf("%v, %v", differences, err)
	}
}
