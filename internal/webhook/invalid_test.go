package webhook_test

import (
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/webhook"
)

const smallListener = `
apiVersion: triggers.tekton.dev/v1beta1
kind: EventListener
metadata: {name: lockstep}
spec: {labelSelector: {matchLabels: {on: "true"}}, namespaceSelector: {}}
---
apiVersion: triggers.tekton.dev/v1beta1
kind: TriggerTemplate
metadata: {name: t}
spec:
  params: [{name: commit}]
  resourcetemplates:
    - {apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {generateName: x-}, spec: {pipelineRef: {name: $(tt.params.commit)}}}
`

// trigger is a Trigger with these interceptors, heard by smallListener.
func trigger(interceptors string) string {
	return smallListener + `---
apiVersion: triggers.tekton.dev/v1beta1
kind: Trigger
metadata: {name: one, labels: {on: "true"}}
spec:
  interceptors: ` + interceptors + `
  bindings: [{name: commit, value: $(body.after)}]
  template: {ref: t}
`
}

func load(text string) (*webhook.Listener, error) {
	return webhook.New([]webhook.Source{{Name: "test.yaml", Namespace: "n", YAML: []byte(text)}}, nil)
}

func TestWhatCannotRunIsRefusedBeforeAnythingStarts(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"slack":               {trigger(`[{ref: {name: slack}}]`), `ClusterInterceptor "slack" is not run`},
		"one of the cluster":  {trigger(`[{ref: {name: mine, kind: NamespacedInterceptor}}]`), `NamespacedInterceptor "mine"`},
		"a known name inside": {trigger(`[{ref: {name: cel, kind: NamespacedInterceptor}}]`), `NamespacedInterceptor "cel"`},
		"a webhook": {trigger(`[{webhook: {objectRef: {kind: Service, apiVersion: v1, name: s}}}]`),
			"a webhook interceptor is a service in a cluster"},
		"no such secret": {trigger(`[{ref: {name: github}, params: [{name: secretRef, value: {secretName: s, secretKey: k}}]}]`),
			`the Secret n/s has no key "k"`},
		"an unknown field":  {trigger(`[]`) + "  colour: red\n", `unknown field "colour"`},
		"no template":       {strings.Replace(trigger(`[]`), "{ref: t}", "{ref: gone}", 1), "TriggerTemplate n/gone: it is not there"},
		"no binding":        {strings.Replace(trigger(`[]`), "{name: commit, value: $(body.after)}", "{ref: gone}", 1), "TriggerBinding n/gone"},
		"an undeclared one": {strings.Replace(trigger(`[]`), "[{name: commit}]", "[]", 1), "undeclared param"},
		"twice":             {trigger(`[]`) + "---" + strings.SplitN(trigger(`[]`), "---", 3)[2], "n/one is there twice"},
		"two listeners":     {smallListener + "---" + strings.Replace(strings.SplitN(smallListener, "---", 2)[0], "name: lockstep", "name: two", 1), "another EventListener already"},
		"all namespaces": {strings.Replace(smallListener, "namespaceSelector: {}", `namespaceSelector: {matchNames: ["*"]}`, 1),
			"spec.namespaceSelector.matchNames is not run"},
		"nothing":  {trigger(`[null]`), "it cannot be read"},
		"v1alpha1": {"apiVersion: triggers.tekton.dev/v1alpha1\nkind: Trigger\n", "triggers.tekton.dev/v1alpha1 Trigger is not run"},
		"no YAML":  {"a: [", "test.yaml: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.Of(err).Kind != fault.KindUsage {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestRow14_APanicIsAFailure: Triggers' packages take a field for what it should be.
func TestRow14_APanicIsAFailure(t *testing.T) {
	l, err := load(trigger(`[{ref: {name: github}, params: [{name: addChangedFiles, value: {enabled: true}}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	r := webhook.Request{
		Header: map[string][]string{"X-Github-Event": {"push"}},
		Body:   []byte(`{"repository":{"full_name":"a/b"},"commits":[7]}`),
	}
	result, err := l.Receive(t.Context(), "n", r)
	if err != nil || len(result.Skipped) != 1 || result.Skipped[0].Reason != webhook.Failed || len(result.Resources) != 0 {
		t.Errorf("got %+v, %v", result, err)
	}
}

func TestOnlyTheListenersOwnTriggersAreAsked(t *testing.T) {
	l, err := load(strings.Replace(trigger(`[]`), `labels: {on: "true"}`, `labels: {on: "false"}`, 1))
	if err != nil {
		t.Fatal(err)
	}
	if result, err := l.Receive(t.Context(), "n", webhook.Request{Body: []byte("{}")}); err != nil || len(result.Resources)+len(result.Skipped) != 0 {
		t.Errorf("got %+v, %v", result, err)
	}
	if _, err := l.Receive(t.Context(), "elsewhere", webhook.Request{}); fault.Of(err).Reason != "NoEventListener" {
		t.Errorf("got %v", err)
	}
}

func TestGitLabsTokenIsASignature(t *testing.T) {
	l, err := webhook.New([]webhook.Source{{Namespace: "n", YAML: []byte(trigger(
		`[{ref: {name: gitlab}, params: [{name: secretRef, value: {secretName: s, secretKey: k}}, {name: eventTypes, value: [Push Hook]}]}]`))}},
		webhook.Secrets{"n": {"s": {"k": []byte("token")}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		token, event string
		reason       webhook.Reason
	}{{"token", "Push Hook", ""}, {"wrong", "Push Hook", webhook.Signature}, {"token", "Note Hook", webhook.Filtered}} {
		r := webhook.Request{Header: map[string][]string{"X-Gitlab-Token": {c.token}, "X-Gitlab-Event": {c.event}}, Body: []byte(`{"after":"abc"}`)}
		result, err := l.Receive(t.Context(), "n", r)
		if err != nil {
			t.Fatal(err)
		}
		if c.reason == "" && (len(result.Resources) != 1 || result.Resources[0].GenerateName != "x-") ||
			c.reason != "" && (len(result.Skipped) != 1 || result.Skipped[0].Reason != c.reason) {
			t.Errorf("%v: got %+v", c, result)
		}
	}
}
