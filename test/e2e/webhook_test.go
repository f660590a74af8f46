//go:build e2e

package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// deliver sends a push webhook as the Git host would.
func deliver(t *testing.T, ctx context.Context, namespace, secret string, body []byte) int {
	t.Helper()
	url, err := shared.WebhookURL(ctx, namespace)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// pushBody is the push of the environment's tip, as Gitea words it.
func pushBody(t *testing.T, ctx context.Context, repository, ref, before, after string) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"ref": ref, "before": before, "after": after,
		"repository":  map[string]any{"full_name": shared.Owner + "/" + repository, "clone_url": shared.RepositoryURL(repository)},
		"head_commit": map[string]any{"message": "feat: x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestRow12_WebhookTwice(t *testing.T) {
	ctx := deadline(t)
	settle(t, ctx)
	c := clone(t, ctx, shared.Staging().Repository())
	head, err := c.Git(ctx, "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := shared.SecretValue(ctx, shared.Staging().RunNamespace(), "lockstep-webhook", "secret")
	if err != nil {
		t.Fatal(err)
	}
	body := pushBody(t, ctx, shared.Staging().Repository(), "refs/heads/main", strings.Repeat("a", 40), head)
	before, err := shared.Runs(ctx, shared.Staging().RunNamespace())
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, ctx, shared.Staging().RunNamespace(), secret, body)
	first := nextRun(t, ctx, len(before))
	objects := resourceVersions(t, ctx)

	// The same delivery again meets the name of its run.
	deliver(t, ctx, shared.Staging().RunNamespace(), secret, body)
	marker := pushBody(t, ctx, shared.Staging().Repository(), "refs/heads/main", strings.Repeat("b", 40), head)
	deliver(t, ctx, shared.Staging().RunNamespace(), secret, marker) // a later delivery, whose run shows that the earlier one was handled
	marked := nextRun(t, ctx, len(before)+1)
	if !strings.HasSuffix(marked.Name, "-bbbbbbb") {
		t.Errorf("the redelivered webhook started run %s", marked.Name)
	}
	if now := runCount(t, ctx); now != len(before)+2 {
		t.Errorf("%d runs, want %d", now, len(before)+2)
	}

	// With its run gone, it starts one that changes nothing.
	if _, err := shared.Kubectl(ctx, "delete", "pipelinerun", first.Name, "-n", shared.Staging().RunNamespace()); err != nil {
		t.Fatal(err)
	}
	deliver(t, ctx, shared.Staging().RunNamespace(), secret, body)
	again := nextRun(t, ctx, len(before)+1)
	if again.Result("outcome") != "unchanged" {
		t.Errorf("outcome %q, want unchanged", again.Result("outcome"))
	}
	if after := resourceVersions(t, ctx); after != objects {
		t.Errorf("objects changed:\n%s\n→\n%s", objects, after)
	}
}

func runCount(t *testing.T, ctx context.Context) int {
	t.Helper()
	runs, err := shared.Runs(ctx, shared.Staging().RunNamespace())
	if err != nil {
		t.Fatal(err)
	}
	return len(runs)
}

// resourceVersions lists every object of the release's namespace that a
// deployment could change, with its version. Leases and events come and go.
func resourceVersions(t *testing.T, ctx context.Context) string {
	t.Helper()
	out, err := shared.Kubectl(ctx, "get", "deployments,replicasets,services,configmaps,secrets,serviceaccounts", "-n", shared.Staging().Namespace,
		"-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRow14_ForgedWebhookIsRefused(t *testing.T) {
	ctx := deadline(t)
	settle(t, ctx)
	before := runCount(t, ctx)
	tip := environmentTip(t, ctx, shared.Staging())
	forged := pushBody(t, ctx, shared.Staging().Repository(), "refs/heads/main", strings.Repeat("c", 40), tip)
	deliver(t, ctx, shared.Staging().RunNamespace(), "not the secret", forged)
	secret, err := shared.SecretValue(ctx, shared.Staging().RunNamespace(), "lockstep-webhook", "secret")
	if err != nil {
		t.Fatal(err)
	}
	// A deletion and another branch are signed but no reason to run.
	deliver(t, ctx, shared.Staging().RunNamespace(), secret, pushBody(t, ctx, shared.Staging().Repository(), "refs/heads/main", tip, strings.Repeat("0", 40)))
	deliver(t, ctx, shared.Staging().RunNamespace(), secret, pushBody(t, ctx, shared.Staging().Repository(), "refs/heads/other", strings.Repeat("d", 40), tip))
	marker := pushBody(t, ctx, shared.Staging().Repository(), "refs/heads/main", strings.Repeat("e", 40), tip)
	deliver(t, ctx, shared.Staging().RunNamespace(), secret, marker)
	r := nextRun(t, ctx, before)
	if !strings.HasSuffix(r.Name, "-eeeeeee") || runCount(t, ctx) != before+1 {
		t.Errorf("a refused webhook started a run: %s, %d runs before, %d now", r.Name, before, runCount(t, ctx))
	}
}
