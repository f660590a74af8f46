package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/lockstep-cd/lockstep/internal/webhook"
)

// forge is a Git host as siteFile has it. What it sends is in
// testdata/<name>.json: written by hand in its form, not recorded from a real one.
type forge struct {
	event, other string // the event of a push, and one that is none
	repository   func(name string) string
	url          string // of acme/user-service, as runs get it
	sign         func(h http.Header, body []byte, key string)
	header       string // of the event
}

var forges = map[string]forge{
	"gitlab": {
		event: "Push Hook", other: "Tag Push Hook", header: "X-Gitlab-Event", repository: func(name string) string { return "acme/" + name },
		url:  "https://gitlab.example.com/acme/user-service.git",
		sign: func(h http.Header, _ []byte, key string) { h.Set("X-Gitlab-Token", key) },
	},
	"bitbucket-server": {
		event: "repo:refs_changed", other: "pr:merged", header: "X-Event-Key", repository: func(name string) string { return "ACME/" + name },
		url: "https://git.example.com/user-service.git", sign: hubSignature,
	},
	"bitbucket-cloud": {
		event: "repo:push", other: "repo:commit_status_created", header: "X-Event-Key", repository: func(name string) string { return "acme/" + name },
		url: "https://git.example.com/user-service.git", sign: hubSignature,
	},
}

// siteFile is the Trigger of an application or an environment on a host.
func siteFile(name, kind string) string {
	return path.Join("internal/provision/triggers", kind, strings.TrimSuffix(name, "-cloud")+".yaml")
}

func hubSignature(h http.Header, body []byte, key string) {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	h.Set("X-Hub-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
}

// listener hears this host in both namespaces.
func (f forge) listener(t *testing.T, name string) *webhook.Listener {
	t.Helper()
	var sources []webhook.Source
	for namespace, file := range map[string]string{"apps": "application", "acme-staging-lockstep": "environment"} {
		repository := map[string]string{"apps": "user-service", "acme-staging-lockstep": "environment-staging"}[namespace]
		own := map[string]string{"REPOSITORY": f.repository(repository), "CLONE_URL": "https://git.example.com/" + repository + ".git"}
		sources = append(sources, source(t, siteFile(name, file), namespace, own))
		for _, shared := range []string{"application", "environment", "webhook"} {
			sources = append(sources, source(t, "pipelines/triggers/"+shared+".yaml", namespace, nil))
		}
	}
	l, err := webhook.New(sources, secrets())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// push is what the host sends for a push to main of acme/user-service, with
// these words replaced by others.
func (f forge) push(t *testing.T, name string, replace ...string) webhook.Request {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		changed := strings.ReplaceAll(string(body), replace[i], replace[i+1])
		if changed == string(body) {
			t.Fatalf("%s.json does not hold %q", name, replace[i])
		}
		body = []byte(changed)
	}
	return f.request(body, secret, f.event)
}

func (f forge) request(body []byte, key, event string) webhook.Request {
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	header.Set(f.header, event)
	f.sign(header, body, key)
	return webhook.Request{Header: header, Body: body, URL: "/"}
}

func eachForge(t *testing.T, test func(t *testing.T, name string, f forge, l *webhook.Listener)) {
	for name, f := range forges {
		t.Run(name, func(t *testing.T) { test(t, name, f, f.listener(t, name)) })
	}
}

func TestRow12_EveryForgeNamesARunAfterItsPush(t *testing.T) {
	eachForge(t, func(t *testing.T, name string, f forge, l *webhook.Listener) {
		for range 2 {
			result, err := l.Receive(t.Context(), "apps", f.push(t, name))
			if err != nil || len(result.Resources) != 1 || len(result.Skipped) != 0 {
				t.Fatalf("got %+v, %v", result, err)
			}
			run := result.Resources[0]
			if want := "user-service-222222222222-1111111"; run.Name != want {
				t.Errorf("the run is called %s, want %s", run.Name, want)
			}
			for _, want := range []string{`{"name":"url","value":"` + f.url + `"}`, `{"name":"revision","value":"` + after + `"}`} {
				if !strings.Contains(compact(t, run.Object), want) {
					t.Errorf("the run does not hold %s:\n%s", want, run.Object)
				}
			}
		}
	})
}

func TestEveryForgeStartsTheEnvironmentsPipeline(t *testing.T) {
	eachForge(t, func(t *testing.T, name string, f forge, l *webhook.Listener) {
		request := f.push(t, name, "user-service", "environment-staging", "feat: greet", "chore: promote [skip ci]")
		result, err := l.Receive(t.Context(), "acme-staging-lockstep", request)
		if err != nil || len(result.Resources) != 1 || result.Resources[0].Name != "staging-222222222222-1111111" {
			t.Fatalf("got %+v, %v", result, err)
		}
	})
}

// TestEveryForgesNewBranch: the branch was not there before.
func TestEveryForgesNewBranch(t *testing.T) {
	eachForge(t, func(t *testing.T, name string, f forge, l *webhook.Listener) {
		replace := map[string][]string{
			"gitlab": {before, zeros}, "bitbucket-server": {before, zeros, `"type": "UPDATE"`, `"type": "ADD"`},
			"bitbucket-cloud": {oldOfCloud(t), `"old": null`},
		}[name]
		result, err := l.Receive(t.Context(), "apps", f.push(t, name, replace...))
		if err != nil || len(result.Resources) != 1 || result.Resources[0].Name != "user-service-222222222222-0000000" {
			t.Fatalf("got %+v, %v", result, err)
		}
	})
}

// oldOfCloud is what Bitbucket Cloud says of the branch before.
func oldOfCloud(t *testing.T) string { return partOfCloud(t, `"old": {`) }

func partOfCloud(t *testing.T, from string) string {
	t.Helper()
	body, err := os.ReadFile("testdata/bitbucket-cloud.json")
	if err != nil {
		t.Fatal(err)
	}
	start := bytes.Index(body, []byte(from))
	end := bytes.Index(body[start:], []byte("\n        }"))
	return string(body[start : start+end+len("\n        }")])
}

func TestOtherEventsOfEveryForgeStartNothing(t *testing.T) {
	eachForge(t, func(t *testing.T, name string, f forge, l *webhook.Listener) {
		deletion := map[string][]string{
			"gitlab":           {after, zeros},
			"bitbucket-server": {`"type": "UPDATE"`, `"type": "DELETE"`, after, zeros},
			"bitbucket-cloud":  {partOfCloud(t, `"new": {`), `"new": null`},
		}[name]
		branch := map[string][]string{
			"gitlab": {"refs/heads/main", "refs/heads/topic"}, "bitbucket-server": {"refs/heads/main", "refs/heads/topic"},
			"bitbucket-cloud": {`"name": "main"`, `"name": "topic"`},
		}[name]
		tag := map[string][]string{
			"gitlab": {"refs/heads/main", "refs/tags/main"}, "bitbucket-server": {"refs/heads/main", "refs/tags/main"},
			"bitbucket-cloud": {`"type": "branch"`, `"type": "tag"`},
		}[name]
		for what, request := range map[string]webhook.Request{
			"another event":        f.request(f.push(t, name).Body, secret, f.other),
			"a deletion":           f.push(t, name, deletion...),
			"another branch":       f.push(t, name, branch...),
			"a tag":                f.push(t, name, tag...),
			"another repository":   f.push(t, name, "user-service", "billing-service"),
			"asked to skip":        f.push(t, name, "feat: greet", "docs: greet [skip ci]"),
			"asked to skip, below": f.push(t, name, "feat: greet", `docs: greet\n\n[ci skip]\n`),
		} {
			t.Run(what, func(t *testing.T) {
				result, err := l.Receive(t.Context(), "apps", request)
				if err != nil || len(result.Resources) != 0 || len(result.Skipped) != 1 || result.Skipped[0].Reason != webhook.Filtered {
					t.Errorf("got %+v, %v", result, err)
				}
			})
		}
	})
}

func TestRow14_EveryForgesWebhooksAreRefusedWhenForged(t *testing.T) {
	eachForge(t, func(t *testing.T, name string, f forge, l *webhook.Listener) {
		good := f.push(t, name)
		unsigned := f.push(t, name)
		unsigned.Header.Del("X-Gitlab-Token")
		unsigned.Header.Del("X-Hub-Signature")
		forged := map[string]webhook.Request{
			"another secret":        f.request(good.Body, "guess", f.event),
			"no secret":             f.request(good.Body, "", f.event),
			"unsigned":              unsigned,
			"not JSON at all":       f.request([]byte("{{{{"), "guess", f.event),
			"an event nobody wants": f.request(good.Body, "guess", f.other),
			"of another forge":      signed(good.Body, secret, "push"),
		}
		if name != "gitlab" { // which sends its secret along, and signs nothing
			changed := f.push(t, name)
			changed.Body = bytes.Replace(changed.Body, []byte(after), []byte(before), 1)
			forged["another body"] = changed
		}
		for what, request := range forged {
			result, err := l.Receive(t.Context(), "apps", request)
			if err != nil || len(result.Resources) != 0 || len(result.Skipped) != 1 || result.Skipped[0].Reason != webhook.Signature {
				t.Errorf("%s: got %+v, %v", what, result, err)
			}
			if strings.Contains(fmt.Sprint(result), secret) {
				t.Errorf("%s: the secret shows: %v", what, result)
			}
		}
	})
}

func TestRow14_OddPayloadsOfEveryForge(t *testing.T) {
	eachForge(t, func(t *testing.T, name string, f forge, l *webhook.Listener) {
		for _, body := range []string{
			"", "null", "[1]", "7", `{"ref":`, `{"changes":[],"push":{"changes":[]},"project":7}`, `{"changes":{},"push":[],"repository":null,"project":null}`,
			`{"repository":{"full_name":"acme/user-service","slug":"user-service","project":{"key":"ACME"}},"changes":[7,null],"push":{"changes":[null,7]}}`,
			`{"project":{"path_with_namespace":"acme/user-service"},"ref":"refs/heads/main","after":7,"commits":"x"}`,
		} {
			result, err := l.Receive(t.Context(), "apps", f.request([]byte(body), secret, f.event))
			if err != nil || len(result.Resources) != 0 || len(result.Skipped) != 1 || result.Skipped[0].Reason == webhook.Signature {
				t.Errorf("%.40s: got %+v, %v", body, result, err)
			}
		}
	})
}

// TestBitbucketNamesSeveralBranchesInOnePush: ours may stand anywhere among
// them.
func TestBitbucketNamesSeveralBranchesInOnePush(t *testing.T) {
	other := `{"ref": {"id": "refs/heads/topic", "displayId": "topic", "type": "BRANCH"}, "refId": "refs/heads/topic", "fromHash": "` +
		zeros + `", "toHash": "3333333333333333333333333333333333333333", "type": "ADD"},`
	deleted := `{"old": {"type": "branch", "name": "main-2", "target": {"type": "commit", "hash": "3333333333333333333333333333333333333333"}}, "new": null},`
	for name, with := range map[string]string{"bitbucket-server": other, "bitbucket-cloud": deleted} {
		f := forges[name]
		request := f.push(t, name, `"changes": [`, `"changes": [`+with)
		result, err := f.listener(t, name).Receive(t.Context(), "apps", request)
		if err != nil || len(result.Resources) != 1 || result.Resources[0].Name != "user-service-222222222222-1111111" {
			t.Errorf("%s: got %+v, %v", name, result, err)
		}
	}
}

// TestForgesDifferOnlyInWhatTheyHear: what a push starts is the same on all.
func TestForgesDifferOnlyInWhatTheyHear(t *testing.T) {
	for _, kind := range []string{"application", "environment"} {
		want := settingsOf(t, siteFile("github", kind))
		for name := range forges {
			got := settingsOf(t, siteFile(name, kind))
			if !maps.Equal(got, want) {
				t.Errorf("%s/%s.yaml starts %v, the other one %v", name, kind, got, want)
			}
		}
	}
}

// settingsOf are the name, labels, bindings and template of a file's Trigger,
// without the binding that reads the push.
func settingsOf(t *testing.T, path string) map[string]string {
	t.Helper()
	text := string(source(t, path, "", nil).YAML)
	text = text[strings.Index(text, "kind: Trigger\n"):]
	text, _, _ = strings.Cut(text, "\n---")
	var trigger struct {
		Metadata struct {
			Name, Namespace string
			Labels          map[string]string
		}
		Spec struct {
			Bindings []struct{ Name, Value, Ref string }
			Template struct{ Ref string }
		}
	}
	if err := yaml.Unmarshal([]byte(text), &trigger); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"": fmt.Sprint(trigger.Metadata, trigger.Spec.Template)}
	for _, b := range trigger.Spec.Bindings {
		if b.Ref == "" {
			settings[b.Name] = b.Value
		}
	}
	if len(settings) < 5 {
		t.Fatalf("%s: only %v", path, settings)
	}
	return settings
}
