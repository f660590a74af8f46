package cluster_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
)

// site is a namespace to which manifests are applied one after the other, as a
// release does it.
type site struct {
	t      *testing.T
	on     *clustertest.Cluster
	client *cluster.Client
	last   string
}

func newSite(t *testing.T) *site {
	on := clustertest.Start(t)
	return &site{t: t, on: on, client: on.Client(t)}
}

// apply goes from the last manifest to this one, and checks that the cluster
// has what it says then.
func (s *site) apply(manifest string) {
	s.t.Helper()
	applier := s.client.Applier("web")
	before, err1 := applier.Build(strings.NewReader(s.last), false)
	target, err2 := applier.Build(strings.NewReader(manifest), true)
	if err1 != nil || err2 != nil {
		s.t.Fatal(err1, err2)
	}
	if _, err := applier.Update(before, target, false); err != nil {
		s.t.Fatal(err)
	}
	s.last = manifest
	if differences := s.compare(); len(differences) > 0 {
		s.t.Errorf("after applying, %v", differences)
	}
}

// compare says what the last manifest would change.
func (s *site) compare() []cluster.Difference {
	s.t.Helper()
	objects, err := s.client.Objects(s.last)
	if err != nil {
		s.t.Fatal(err)
	}
	differences, err := s.client.Compare(objects, objects)
	if err != nil {
		s.t.Fatal(err)
	}
	return differences
}

// resource finds out where objects of "group/resource" are.
func resource(path string) schema.GroupVersionResource {
	group, name, _ := strings.Cut(path, "/")
	return schema.GroupVersionResource{Group: group, Version: "v1", Resource: name}
}

// field is a field of a live object, as JSON; only the keys of list items that
// are asked for.
func (s *site) field(path, name string, keys []string, at ...string) string {
	s.t.Helper()
	o, err := s.on.Dynamic(s.t).Resource(resource(path)).Namespace(s.on.Namespace).Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	value, _, err := unstructured.NestedFieldCopy(o.Object, at...)
	if err != nil {
		s.t.Fatal(err)
	}
	if list, ok := value.([]any); ok && keys != nil {
		for i, item := range list {
			var some []any
			for _, key := range keys {
				some = append(some, item.(map[string]any)[key])
			}
			list[i] = some
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *site) wants(what, got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// patch changes an object by hand.
func (s *site) patch(path, name, patch string) {
	s.t.Helper()
	_, err := s.on.Dynamic(s.t).Resource(resource(path)).Namespace(s.on.Namespace).Patch(s.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "hand"})
	if err != nil {
		s.t.Fatal(err)
	}
}

const (
	tcp = "{name: https, port: 443, targetPort: 8443, protocol: TCP}"
	udp = "{name: http3, port: 443, targetPort: 8443, protocol: UDP}"
)

func service(ports ...string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  type: NodePort\n  selector: {a: web}\n  ports: [%s]\n", strings.Join(ports, ", "))
}

func TestRow62_PortOfTwoProtocols(t *testing.T) {
	s := newSite(t)
	ports := func() string {
		return s.field("/services", "web", []string{"name", "port", "protocol"}, "spec", "ports")
	}
	const both = `[["https",443,"TCP"],["http3",443,"UDP"]]`
	s.apply(service(tcp))
	node := s.field("/services", "web", []string{"nodePort"}, "spec", "ports")
	s.apply(service(tcp, udp))
	s.wants("a second protocol", ports(), both)
	if !strings.HasPrefix(s.field("/services", "web", []string{"nodePort"}, "spec", "ports"), strings.TrimSuffix(node, "]")) {
		t.Error("the first port has another node port")
	}
	s.apply(service(udp, tcp))
	s.wants("another order", ports(), `[["http3",443,"UDP"],["https",443,"TCP"]]`)
	s.apply(service(tcp, udp))
	s.patch("/services", "web", `{"spec":{"ports":[{"name":"https","port":443,"protocol":"TCP","targetPort":8443},{"name":"theirs","port":444,"protocol":"TCP"}]}}`)
	if len(s.compare()) != 1 {
		t.Error("a port that was taken away by hand is no difference")
	}
	s.apply(service(tcp, udp))
	s.wants("put right", ports(), `[["https",443,"TCP"],["http3",443,"UDP"],["theirs",444,"TCP"]]`)
	s.apply(service(udp))
	s.wants("one of them", ports(), `[["http3",443,"UDP"],["theirs",444,"TCP"]]`)
}

func TestRow62_ListsWithItemsOfOneKey(t *testing.T) {
	deployment := func(container, pod string) string {
		return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {a: web}}
  template:
    metadata: {labels: {a: web}}
    spec:
      %s
      containers:
      - {name: side, image: "example.com/side:1"}
      - {name: c, image: "example.com/c:1", %s}
`, pod, container)
	}
	const dns, dnsUDP = "{containerPort: 53}", "{containerPort: 53, protocol: UDP}"
	const zone, zoneHard = "{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}", "{topologyKey: zone, maxSkew: 2, whenUnsatisfiable: DoNotSchedule}"
	of := func(keys ...string) []string { return keys }
	for name, test := range map[string]struct {
		steps []string // manifests
		keys  []string
		at    []string // of the pod's spec
		want  []string // after each step
	}{
		"a container's ports": {
			steps: []string{deployment("ports: ["+dns+"]", ""), deployment("ports: ["+dns+", "+dnsUDP+"]", ""), deployment("ports: ["+dnsUDP+"]", ""), deployment("tty: true", ""), deployment("ports: ["+dnsUDP+", "+dns+"]", "")},
			keys:  of("containerPort", "protocol"), at: of("ports"),
			want: []string{`[[53,"TCP"]]`, `[[53,"TCP"],[53,"UDP"]]`, `[[53,"UDP"]]`, `null`, `[[53,"UDP"],[53,"TCP"]]`},
		},
		"variables": {
			steps: []string{deployment("env: [{name: A, value: a}]", ""), deployment("env: [{name: A, value: a}, {name: B, value: $(A)}, {name: A, value: b}]", ""), deployment("env: [{name: A, value: c}, {name: B, value: $(A)}]", "")},
			keys:  of("name", "value"), at: of("env"),
			want: []string{`[["A","a"]]`, `[["A","a"],["B","$(A)"],["A","b"]]`, `[["A","c"],["B","$(A)"]]`},
		},
		"host aliases": {
			steps: []string{deployment("tty: true", "hostAliases: [{ip: 10.0.0.1, hostnames: [a]}]"), deployment("tty: true", "hostAliases: [{ip: 10.0.0.1, hostnames: [a]}, {ip: 10.0.0.1, hostnames: [b]}]"), deployment("tty: true", "hostAliases: [{ip: 10.0.0.1, hostnames: [b]}]")},
			keys:  of("ip", "hostnames"), at: of("hostAliases"),
			want: []string{`[["10.0.0.1",["a"]]]`, `[["10.0.0.1",["a"]],["10.0.0.1",["b"]]]`, `[["10.0.0.1",["b"]]]`},
		},
		"spread constraints": {
			steps: []string{deployment("tty: true", "topologySpreadConstraints: ["+zone+"]"), deployment("tty: true", "topologySpreadConstraints: ["+zone+", "+zoneHard+"]"), deployment("tty: true", "topologySpreadConstraints: ["+zoneHard+"]")},
			keys:  of("maxSkew", "whenUnsatisfiable"), at: of("topologySpreadConstraints"),
			want: []string{`[[1,"ScheduleAnyway"]]`, `[[1,"ScheduleAnyway"],[2,"DoNotSchedule"]]`, `[[2,"DoNotSchedule"]]`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			for i, manifest := range test.steps {
				s.apply(manifest)
				s.wants(fmt.Sprint("step ", i), s.ofPod(test.keys, test.at[0]), test.want[i])
			}
		})
	}
}

// ofPod is a list of the pod template, or of its container named c.
func (s *site) ofPod(keys []string, name string) string {
	s.t.Helper()
	spec := []string{"spec", "template", "spec"}
	if found := s.field("apps/deployments", "web", keys, append(spec, name)...); found != "null" {
		return found
	}
	d, err := s.on.Kubernetes.AppsV1().Deployments(s.on.Namespace).Get(s.t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	for i, c := range d.Spec.Template.Spec.Containers {
		if c.Name == "c" {
			o, err := s.on.Dynamic(s.t).Resource(resource("apps/deployments")).Namespace(s.on.Namespace).Get(s.t.Context(), "web", metav1.GetOptions{})
			if err != nil {
				s.t.Fatal(err)
			}
			containers, _, _ := unstructured.NestedSlice(o.Object, append(spec, "containers")...)
			return pick(s.t, containers[i].(map[string]any)[name], keys)
		}
	}
	s.t.Fatal("no container c")
	return ""
}

// pick is a list as JSON with only some keys of its items.
func pick(t *testing.T, value any, keys []string) string {
	t.Helper()
	if list, ok := value.([]any); ok {
		for i, item := range list {
			var some []any
			for _, key := range keys {
				some = append(some, item.(map[string]any)[key])
			}
			list[i] = some
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRow62_KeyLeavesStringData(t *testing.T) {
	const canary = "canary-62-value"
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	s := newSite(t)
	secret := func(content string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n" + content
	}
	data := func() string { return s.field("/secrets", "s", nil, "data") }
	s.apply(secret("stringData: {fixed: xxxx, optional: " + canary + "}\n"))
	s.patch("/secrets", "s", `{"stringData":{"fixed":"by hand","theirs":"yyyy"}}`)
	if len(s.compare()) != 1 {
		t.Error("a value that was changed by hand is no difference")
	}
	s.apply(secret("stringData: {fixed: xxxx}\n"))
	s.wants("a key less", data(), `{"fixed":"eHh4eA==","theirs":"eXl5eQ=="}`)
	s.apply(secret("data: {fixed: eHh4eA==, other: eHh4eA==}\nstringData: {other: yyyy}\n"))
	s.wants("both", data(), `{"fixed":"eHh4eA==","other":"eXl5eQ==","theirs":"eXl5eQ=="}`)
	s.apply(secret("data: {other: eHh4eA==}\n"))
	s.wants("data again", data(), `{"other":"eHh4eA==","theirs":"eXl5eQ=="}`)
	s.apply(secret("type: Opaque\n"))
	s.wants("nothing", data(), `{"theirs":"eXl5eQ=="}`)
	if text := log.String(); strings.Contains(text, canary) || strings.Contains(text, "eHh4eA") {
		t.Errorf("the log shows a value: %s", text)
	}
}

// A pod's service account has two names, and the server copies one into the
// other: that copy must go as well.
func TestRow62_ServiceAccountLeavesThePod(t *testing.T) {
	s := newSite(t)
	deployment := func(account string) string {
		return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 0, selector: {matchLabels: {a: web}}, template: {metadata: {labels: {a: web}}, spec: {%scontainers: [{name: c, image: i}]}}}\n", account)
	}
	account := func() string {
		return s.field("apps/deployments", "web", nil, "spec", "template", "spec", "serviceAccountName")
	}
	s.apply(deployment("serviceAccountName: admin, "))
	s.wants("given", account(), `"admin"`)
	s.apply(deployment(""))
	s.wants("taken away", account(), `null`)
	s.apply(deployment("serviceAccount: admin, "))
	s.apply(deployment("serviceAccountName: other, "))
	s.wants("by its other name", account(), `"other"`)
}

const workload = `apiVersion: %s
kind: %s
metadata: {name: web}
spec:
  %s
  selector: {matchLabels: {a: web}}
  template:
    metadata: {labels: {a: web}}
    spec: {schedulerName: clustertest, containers: [{name: c, image: "example.com/c:%d"}]}
---
`

func autoscaler(kind, apiVersion string) string {
	return fmt.Sprintf("apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {minReplicas: 2, maxReplicas: 9, scaleTargetRef: {apiVersion: %s, kind: %s, name: web}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}\n", apiVersion, kind)
}

func TestRow62_ReplicasHandedToAnAutoscaler(t *testing.T) {
	for kind, more := range map[string]string{"Deployment": "", "StatefulSet": "serviceName: web\n  ", "ReplicaSet": ""} {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t)
			path := "apps/" + strings.ToLower(kind) + "s"
			replicas := func() string { return s.field(path, "web", nil, "spec", "replicas") }
			manifest := func(replicas string, version int) string {
				return fmt.Sprintf(workload, "apps/v1", kind, more+replicas, version)
			}
			s.apply(manifest("replicas: 2", 1) + autoscaler(kind, "apps/v1"))
			s.patch(path, "web", `{"spec":{"replicas":5}}`)
			if found := s.compare(); len(found) > 0 {
				t.Errorf("the autoscaler's number is a difference: %v", found)
			}
			s.apply(manifest("replicas: 2", 2) + autoscaler(kind, "apps/v1"))
			s.wants("while the chart names a number", replicas(), "5")
			s.apply(manifest("", 3) + autoscaler(kind, "apps/v1"))
			s.wants("when it lets go", replicas(), "5")
			s.apply(manifest("replicas: 0", 4) + autoscaler(kind, "apps/v1"))
			s.wants("switched off", replicas(), "0")
			s.apply(manifest("replicas: 3", 5))
			s.wants("without an autoscaler", replicas(), "3")
			s.patch(path, "web", `{"spec":{"replicas":4}}`)
			s.apply(manifest("replicas: null", 6))
			s.wants("let go without an autoscaler in the chart", replicas(), "4")
			s.patch(path, "web", `{"spec":{"replicas":0}}`)
			s.apply(manifest("replicas: 3", 6) + autoscaler(kind, "apps/v1"))
			s.wants("switched off by hand", replicas(), "3")
		})
	}
}

// A custom kind keeps its number where an autoscaler scales it, and else loses it.
func TestRow62_ReplicasOfACustomKind(t *testing.T) {
	s := newSite(t)
	widgets := s.on.CustomResource(t)
	widget := func(spec string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: Widget\nmetadata: {name: web}\nspec: {%s}\n", widgets.GroupVersion(), spec)
	}
	path := widgets.Group + "/widgets"
	replicas := func() string { return s.field(path, "web", nil, "spec", "replicas") }
	s.apply(widget("replicas: 2, a: 1"))
	s.apply(widget("a: 1"))
	s.wants("without an autoscaler", replicas(), "null")
	s.apply(widget("replicas: 2, a: 1"))
	s.patch(path, "web", `{"spec":{"replicas":5}}`)
	other := s.last
	s.apply(autoscaler("Widget", widgets.GroupVersion().String())) // of another release
	s.patch(path, "web", `{"spec":{"replicas":5}}`)
	s.last = other
	s.apply(widget("a: 1"))
	s.wants("with one", replicas(), "5")
}

// What callers hand in is theirs: nothing is written behind the end of their lists.
func TestListsOfCallersAreNotWritten(t *testing.T) {
	s := newSite(t)
	const two = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"
	objects, err := s.client.Objects(two)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Compare(objects[:1], nil, objects[:1]...); err != nil || objects[1].Name != "b" {
		t.Errorf("Compare wrote %s into its caller's list, %v", objects[1].Name, err)
	}
	applier := s.client.Applier("web")
	list, err := applier.Build(strings.NewReader(two), false)
	if err != nil {
		t.Fatal(err)
	}
	applier.Leftovers = list[:1]
	if _, err := applier.Update(list[:1], list[:1], false); err != nil || list[1].Name != "b" {
		t.Errorf("Update wrote %s into its caller's list, %v", list[1].Name, err)
	}
}
