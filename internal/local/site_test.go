package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/local"
	"github.com/lockstep-cd/lockstep/internal/webhook"
)

// site wires the servers and Triggers' objects of this repository together, as
// the command line does, with a list in the place of the runner.
type site struct {
	listener *webhook.Listener
	mu       sync.Mutex
	runs     []string
	skipped  []webhook.Skip
	failures int // how many webhooks are answered as if the runner were broken
}

func (s *site) receive(ctx context.Context, c local.Call) (any, error) {
	result, err := s.listener.Receive(ctx, c.Name, webhook.Request{Header: c.Header, Body: c.Body, URL: c.URL})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range result.Resources {
		s.runs = append(s.runs, r.Namespace+"/"+r.Name)
	}
	s.skipped = append(s.skipped, result.Skipped...)
	if s.failures--; s.failures >= 0 {
		return nil, errors.New("the runner is not there")
	}
	return result, result.Refused()
}

func (s *site) seen() (runs []string, skipped []webhook.Skip) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.runs), slices.Clone(s.skipped)
}

func newSite(t *testing.T, failures int) *site {
	t.Helper()
	values := strings.NewReplacer("${APPLICATIONS_NAMESPACE}", "apps", "${APPLICATION}", "app", "${REPOSITORY}", "acme/app", "${BRANCH}", "main")
	var sources []webhook.Source
	for _, file := range []string{"internal/provision/triggers/application/github.yaml", "pipelines/triggers/application.yaml", "pipelines/triggers/webhook.yaml"} {
		text, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, webhook.Source{Name: file, Namespace: "apps", YAML: []byte(values.Replace(string(text)))})
	}
	listener, err := webhook.New(sources, webhook.Secrets{"apps": {"lockstep-webhook": {"secret": []byte("s3cret")}}})
	if err != nil {
		t.Fatal(err)
	}
	return &site{listener: listener, failures: failures}
}

func TestRow12_APushStartsOneRun(t *testing.T) {
	site := newSite(t, 2)
	s := serve(t, t.TempDir(), site.receive)
	dir := checkout(t, s.create(t, "acme/app", local.Webhook{URL: "/hooks/apps", Secret: "s3cret"}))
	first := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "push", "-q", "origin", "main")
	until(t, "the redelivered webhook", func() bool { runs, _ := site.seen(); return len(runs) == 3 })
	if runs, _ := site.seen(); len(slices.Compact(runs)) != 1 || runs[0] != "apps/app-"+first[:12]+"-0000000" {
		t.Errorf("redelivered under other names: %v", runs)
	}

	git(t, dir, "push", "-q", "origin", "HEAD:refs/heads/topic")
	git(t, dir, "push", "-q", "origin", ":refs/heads/topic")
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "docs: [skip ci]")
	git(t, dir, "push", "-q", "origin", "main")
	until(t, "three filtered webhooks", func() bool { _, skipped := site.seen(); return len(skipped) == 3 })
	runs, skipped := site.seen()
	for _, skip := range skipped {
		if skip.Reason != webhook.Filtered {
			t.Errorf("got %+v", skip)
		}
	}
	if len(runs) != 3 {
		t.Errorf("another branch, a deletion or [skip ci] started something: %v", runs)
	}
}

func TestRow14_ForgedWebhooksAreRefused(t *testing.T) {
	site := newSite(t, 0)
	s := serve(t, t.TempDir(), site.receive)
	body := []byte(`{"ref":"refs/heads/main","before":"` + zeros + `","after":"` + strings.Repeat("1", 40) + `",` +
		`"head_commit":{"message":"x"},"repository":{"full_name":"acme/app","clone_url":"http://x"}}`)
	for _, c := range []struct {
		body   []byte
		secret string
		want   int
	}{
		{body, "s3cret", http.StatusAccepted},
		{body, "guess", http.StatusForbidden},
		{[]byte("{{{{"), "guess", http.StatusForbidden},
		{bytes.Repeat([]byte("x"), 50<<20), "s3cret", http.StatusRequestEntityTooLarge},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/hooks/apps", bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-GitHub-Event", "push")
		req.Header.Set("X-Hub-Signature-256", signature(c.body, c.secret))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%.20q signed with %s: got %s, want %d", c.body, c.secret, resp.Status, c.want)
		}
	}
	if runs, _ := site.seen(); fmt.Sprint(runs) != "[apps/app-111111111111-0000000]" {
		t.Errorf("got %v", runs)
	}
}
