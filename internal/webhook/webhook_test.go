package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/webhook"
)

const (
	secret = "s3cret"
	before = "1111111111111111111111111111111111111111"
	after  = "2222222222222222222222222222222222222222"
	zeros  = "0000000000000000000000000000000000000000"
)

var values = map[string]string{
	"APPLICATIONS_NAMESPACE": "apps", "APPLICATION": "user-service", "REPOSITORY": "acme/user-service", "BRANCH": "main",
	"TEST_IMAGE": "golang:1.26", "TEST_COMMAND": "go test ./...", "IMAGE_BASE": "scratch", "IMAGE_REPOSITORY": "127.0.0.1:5000/acme/user-service",
	"CHART_REPOSITORY": "oci://127.0.0.1:5000/charts", "INSECURE_REGISTRIES": "127.0.0.1:5000",
	"ENVIRONMENT": "staging", "ENVIRONMENTS": "http://127.0.0.1/git/acme/environments.git", "NAMESPACE": "acme-staging",
}

// source reads a file of this repository with the values of a site filled in.
func source(t *testing.T, path, namespace string, own map[string]string) webhook.Source {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	filled := regexp.MustCompile(`\$\{([A-Z_]+)\}`).ReplaceAllStringFunc(string(text), func(name string) string {
		name = strings.Trim(name, "${}")
		if value, ok := own[name]; ok {
			return value
		}
		return values[name]
	})
	return webhook.Source{Name: path, Namespace: namespace, YAML: []byte(filled)}
}

func site(t *testing.T) []webhook.Source {
	environment := map[string]string{"REPOSITORY": "acme/environment-staging"}
	sources := []webhook.Source{
		source(t, "internal/provision/triggers/application/github.yaml", "apps", nil),
		source(t, "internal/provision/triggers/environment/github.yaml", "acme-staging-lockstep", environment),
	}
	for _, namespace := range []string{"apps", "acme-staging-lockstep"} {
		for _, file := range []string{"application", "environment", "webhook"} {
			sources = append(sources, source(t, "pipelines/triggers/"+file+".yaml", namespace, nil))
		}
	}
	return sources
}

func secrets() webhook.Secrets {
	one := map[string]map[string][]byte{"lockstep-webhook": {"secret": []byte(secret)}}
	return webhook.Secrets{"apps": one, "acme-staging-lockstep": one}
}

func listener(t *testing.T) *webhook.Listener {
	t.Helper()
	l, err := webhook.New(site(t), secrets())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

type push struct{ repository, ref, before, after, message string }

func (p push) body(t *testing.T) []byte {
	t.Helper()
	var head any
	if p.after != zeros {
		head = map[string]any{"id": p.after, "message": p.message}
	}
	text, err := json.Marshal(map[string]any{
		"ref": p.ref, "before": p.before, "after": p.after, "head_commit": head,
		"repository": map[string]any{"full_name": p.repository, "clone_url": "http://127.0.0.1/git/" + p.repository + ".git"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func signed(body []byte, key, event string) webhook.Request {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("X-GitHub-Event", event)
	header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	return webhook.Request{Header: header, Body: body, URL: "/hooks/apps"}
}

var toMain = push{"acme/user-service", "refs/heads/main", before, after, "feat: greet"}

func receive(t *testing.T, namespace string, r webhook.Request) webhook.Result {
	t.Helper()
	result, err := listener(t).Receive(t.Context(), namespace, r)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestPushStartsTheApplicationsPipeline(t *testing.T) {
	result := receive(t, "apps", signed(toMain.body(t), secret, "push"))
	if len(result.Resources) != 1 || len(result.Skipped) != 0 {
		t.Fatalf("got %+v", result)
	}
	run := result.Resources[0]
	if run.APIVersion != "tekton.dev/v1" || run.Kind != "PipelineRun" || run.Namespace != "apps" ||
		run.Name != "user-service-222222222222-1111111" {
		t.Errorf("got %s %s %s/%s", run.APIVersion, run.Kind, run.Namespace, run.Name)
	}
	for label, want := range map[string]string{
		"lockstep.dev/application":             "user-service",
		"triggers.tekton.dev/eventlistener":    "lockstep",
		"triggers.tekton.dev/trigger":          "user-service",
		"triggers.tekton.dev/triggers-eventid": result.EventID,
	} {
		if run.Labels[label] != want {
			t.Errorf("label %s is %q, want %q", label, run.Labels[label], want)
		}
	}
	for _, want := range []string{`"revision","value":"` + after, `"test-command","value":"go test ./..."`, `"secretName":"lockstep-git"`} {
		if !strings.Contains(compact(t, run.Object), want) {
			t.Errorf("the run does not hold %s:\n%s", want, run.Object)
		}
	}
}

// compact is JSON with the keys of the parameters in one order.
func compact(t *testing.T, object json.RawMessage) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, object); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), `\u0026`, "&")
}

func TestPushStartsTheEnvironmentsPipeline(t *testing.T) {
	p := toMain
	p.repository, p.message = "acme/environment-staging", "chore: promote [skip ci]"
	result := receive(t, "acme-staging-lockstep", signed(p.body(t), secret, "push"))
	if len(result.Resources) != 1 || result.Resources[0].Name != "staging-222222222222-1111111" ||
		result.Resources[0].Namespace != "acme-staging-lockstep" {
		t.Fatalf("got %+v", result)
	}
}

func TestRow12_RedeliveryMeetsItsOwnName(t *testing.T) {
	l := listener(t)
	var names []string
	for range 3 {
		result, err := l.Receive(t.Context(), "apps", signed(toMain.body(t), secret, "push"))
		if err != nil || len(result.Resources) != 1 {
			t.Fatalf("got %+v, %v", result, err)
		}
		names = append(names, result.Resources[0].Name)
	}
	if names[0] != names[1] || names[1] != names[2] {
		t.Errorf("a webhook that is delivered again has other names: %v", names)
	}
}

func TestOtherEventsStartNothing(t *testing.T) {
	change := func(f func(*push)) push { p := toMain; f(&p); return p }
	for name, c := range map[string]struct {
		push  push
		event string
	}{
		"another branch":     {change(func(p *push) { p.ref = "refs/heads/topic" }), "push"},
		"a tag":              {change(func(p *push) { p.ref = "refs/tags/v1" }), "push"},
		"a deletion":         {change(func(p *push) { p.after = zeros }), "push"},
		"another repository": {change(func(p *push) { p.repository = "acme/billing-service" }), "push"},
		"asked to skip":      {change(func(p *push) { p.message = "docs [skip ci]" }), "push"},
		"another event":      {toMain, "pull_request"},
	} {
		t.Run(name, func(t *testing.T) {
			result := receive(t, "apps", signed(c.push.body(t), secret, c.event))
			if len(result.Resources) != 0 || len(result.Skipped) != 1 || result.Skipped[0].Reason != webhook.Filtered {
				t.Errorf("got %+v", result)
			}
			if err := result.Refused(); err != nil {
				t.Errorf("a filtered event is no error: %v", err)
			}
		})
	}
}

func TestRow14_ForgedWebhooksAreRefusedUnread(t *testing.T) {
	good := signed(toMain.body(t), secret, "push")
	unsigned := signed(toMain.body(t), secret, "push")
	unsigned.Header.Del("X-Hub-Signature-256")
	changed := signed(toMain.body(t), secret, "push")
	changed.Body = bytes.Replace(changed.Body, []byte(after), []byte(before), 1)
	for name, r := range map[string]webhook.Request{
		"another secret":        signed(toMain.body(t), "guess", "push"),
		"no signature":          unsigned,
		"another body":          changed,
		"not JSON at all":       signed([]byte("{{{{"), "guess", "push"),
		"an event nobody wants": signed(toMain.body(t), "guess", "ping"),
	} {
		t.Run(name, func(t *testing.T) {
			result := receive(t, "apps", r)
			if len(result.Resources) != 0 || len(result.Skipped) != 1 || result.Skipped[0].Reason != webhook.Signature {
				t.Fatalf("got %+v", result)
			}
			if f := fault.Of(result.Refused()); f.Kind != fault.KindRefused {
				t.Errorf("got %+v", f)
			}
			if text := fmt.Sprint(result); strings.Contains(text, secret) {
				t.Errorf("the secret shows: %s", text)
			}
		})
	}
	if result := receive(t, "apps", good); len(result.Resources) != 1 {
		t.Errorf("the right signature starts nothing: %+v", result)
	}
}

func TestRow14_OddPayloadsFailWithoutPanic(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000)
	for name, body := range map[string]string{
		"empty": "", "null": "null", "a list": "[1]", "a number": "7", "half": `{"ref":`, "deep": deep, "deeper than allowed": strings.Repeat("[", 20000),
		"wrong types": `{"ref":7,"after":[],"before":{},"repository":"x","head_commit":9}`,
		"nulls":       `{"ref":null,"after":null,"repository":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			result := receive(t, "apps", signed([]byte(body), secret, "push"))
			if len(result.Resources) != 0 || len(result.Skipped) != 1 || result.Skipped[0].Reason == webhook.Signature {
				t.Errorf("got %+v", result)
			}
		})
	}
}

func TestRow14_BodiesAreBounded(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 50<<20)
	if _, err := listener(t).Receive(t.Context(), "apps", signed(large, secret, "push")); fault.Of(err).Reason != "WebhookTooLarge" {
		t.Errorf("Receive: got %v", err)
	}
	for _, declared := range []int64{-1, int64(len(large))} {
		r := httptest.NewRequest(http.MethodPost, "/hooks/apps", bytes.NewReader(large))
		r.ContentLength = declared
		if _, err := webhook.ReadRequest(httptest.NewRecorder(), r); fault.Of(err).Reason != "WebhookTooLarge" {
			t.Errorf("ReadRequest with Content-Length %d: got %v", declared, err)
		}
	}
}

func TestUnreadableBodiesAreRefused(t *testing.T) {
	form := signed([]byte("payload=%7B%7D"), secret, "push")
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	for name, r := range map[string]webhook.Request{"a form": form, "bytes": signed([]byte("{\"a\":\"\xff\"}"), secret, "push")} {
		if _, err := listener(t).Receive(t.Context(), "apps", r); fault.Of(err).Reason != "WebhookUnreadable" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
