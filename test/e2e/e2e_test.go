//go:build e2e

// Package e2e drives the pipelines on the real cluster of test/cluster: real
// webhooks of a real Gitea start real PipelineRuns, whose pods are looked at.
// `make e2e` runs it. The tests share one site and run in turn: a cluster on
// two cores has no room for more.
package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/test/site"
)

var shared *site.Site

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func setUp(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	start := time.Now()
	s, err := site.New("../..", func(format string, args ...any) {
		fmt.Printf("%5.1f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	})
	if err != nil {
		return 0, err
	}
	if err := s.Reset(ctx); err != nil {
		return 0, err
	}
	if err := s.Install(ctx); err != nil {
		return 0, err
	}
	for _, e := range s.Environments {
		first, err := s.Settled(ctx, e)
		if err != nil {
			return 0, err
		}
		if !first.Well {
			return 0, fmt.Errorf("the first deployment of %s: %s\n%s", e.Name, first.Why, s.Logs(ctx, first))
		}
	}
	shared = s
	return m.Run(), nil
}

// deadline is far above what a run takes: a test that reaches it hangs.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func clone(t *testing.T, ctx context.Context, repository string) *site.Checkout {
	t.Helper()
	c, err := shared.Clone(ctx, repository, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pushAnswer makes user-service answer a new random token and pushes that.
func pushAnswer(t *testing.T, ctx context.Context, c *site.Checkout) (commit, token string) {
	t.Helper()
	token = rand.Text()
	if err := site.SetAnswer(c, token); err != nil {
		t.Fatal(err)
	}
	commit, err := c.Push(ctx, "feat: answer "+token)
	if err != nil {
		t.Fatal(err)
	}
	return commit, token
}

// finish waits for the run of a commit and wants it to end well or badly.
func finish(t *testing.T, ctx context.Context, namespace, commit string, wantWell bool) site.Run {
	t.Helper()
	r, err := shared.RunOf(ctx, namespace, commit)
	if err != nil {
		t.Fatal(err)
	}
	r, err = shared.Finish(ctx, r, func(s site.Step) {
		if s.Ended {
			t.Logf("%s: %s/%s %.0f s well=%v", r.Name, s.Task, s.Name, s.Took.Seconds(), s.Well)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Well != wantWell {
		t.Fatalf("run %s ended well: %v, want %v: %s\n%s", r.Name, r.Well, wantWell, r.Why, shared.Logs(ctx, r))
	}
	return r
}

// servedToken waits until the service answers with token.
func servedToken(t *testing.T, ctx context.Context, token string) {
	t.Helper()
	if err := site.Until(ctx, "user-service to answer "+token, func(ctx context.Context) (bool, error) {
		got, err := shared.Answer(ctx, shared.Staging(), "user")
		return strings.Contains(got, token), err
	}); err != nil {
		t.Fatal(err)
	}
}

type pods struct {
	Items []struct {
		Metadata struct {
			Name              string
			DeletionTimestamp *time.Time
		}
		Status struct {
			Phase             string
			ContainerStatuses []struct{ ImageID string }
		}
	}
}

func imageIDs(t *testing.T, ctx context.Context, alias string) []string {
	t.Helper()
	var list pods
	if err := shared.Get(ctx, &list, "pods", "-n", shared.Staging().Namespace, "-l", "app.kubernetes.io/name="+alias); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, p := range list.Items {
		if p.Metadata.DeletionTimestamp != nil || p.Status.Phase == "Succeeded" {
			continue
		}
		for _, c := range p.Status.ContainerStatuses {
			ids = append(ids, c.ImageID)
		}
	}
	return ids
}

func TestPushIsServedInStaging(t *testing.T) {
	ctx := deadline(t)
	c := clone(t, ctx, "user-service")
	commit, token := pushAnswer(t, ctx, c)
	build := finish(t, ctx, shared.Applications, commit, true)
	deploy := finish(t, ctx, shared.Staging().RunNamespace(), build.Result("environment-commit"), true)
	got, err := shared.Answer(ctx, shared.Staging(), "user")
	if err != nil || !strings.Contains(got, token) {
		t.Fatalf("staging answers %q, %v; want %s", got, err, token)
	}
	digest := build.Result("IMAGE_DIGEST")
	ids := imageIDs(t, ctx, "user")
	if len(ids) == 0 {
		t.Fatal("no pod of user-service")
	}
	for _, id := range ids {
		if digest == "" || !strings.HasSuffix(id, "@"+digest) {
			t.Errorf("a pod runs %s, the build published %s", id, digest)
		}
	}
	tag, err := c.Git(ctx, "ls-remote", "--tags", "origin", "refs/tags/v"+build.Result("version")+"*")
	if err != nil || !strings.Contains(tag, commit) {
		t.Errorf("tag v%s is not on %s: %q %v", build.Result("version"), commit, tag, err)
	}
	note := environmentNote(t, ctx, build.Result("environment-commit"))
	if !strings.Contains(note, `"state":"verified"`) {
		t.Errorf("deployment record of run %s: %q", deploy.Name, note)
	}
}

func environmentNote(t *testing.T, ctx context.Context, commit string) string {
	t.Helper()
	c := clone(t, ctx, shared.Staging().Repository())
	if _, err := c.Git(ctx, "fetch", "-q", "origin", "refs/notes/lockstep:refs/notes/lockstep"); err != nil {
		t.Fatal(err)
	}
	note, err := c.Git(ctx, "notes", "--ref=lockstep", "show", commit)
	if err != nil {
		t.Fatal(err)
	}
	return note
}

func TestTwoPushesAtOnce(t *testing.T) {
	ctx := deadline(t)
	c := clone(t, ctx, "user-service")
	first, _ := pushAnswer(t, ctx, c)
	second, token := pushAnswer(t, ctx, c)
	a := finish(t, ctx, shared.Applications, first, true)
	b := finish(t, ctx, shared.Applications, second, true)
	if a.Result("version") == b.Result("version") || a.Result("IMAGE_DIGEST") == b.Result("IMAGE_DIGEST") {
		t.Errorf("two pushes gave %s %s and %s %s", a.Result("version"), a.Result("IMAGE_DIGEST"), b.Result("version"), b.Result("IMAGE_DIGEST"))
	}
	settle(t, ctx)
	servedToken(t, ctx, token)
}

// settle waits until no run of the environment is under way.
func settle(t *testing.T, ctx context.Context) {
	t.Helper()
	tip := environmentTip(t, ctx)
	if _, err := shared.RunOf(ctx, shared.Staging().RunNamespace(), tip); err != nil {
		t.Fatal(err)
	}
	if _, err := shared.Settled(ctx, shared.Staging()); err != nil {
		t.Fatal(err)
	}
}

func environmentTip(t *testing.T, ctx context.Context) string {
	t.Helper()
	tip, err := clone(t, ctx, shared.Staging().Repository()).Git(ctx, "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return tip
}

func TestFailingTestReleasesNothing(t *testing.T) {
	ctx := deadline(t)
	c := clone(t, ctx, "user-service")
	before := environmentTip(t, ctx)
	tags, err := c.Git(ctx, "ls-remote", "--tags", "origin")
	if err != nil {
		t.Fatal(err)
	}
	broken := "package main\n\nimport \"testing\"\n\nfunc TestBroken(t *testing.T) { t.Fatal(\"broken on purpose\") }\n"
	if err := os.WriteFile(c.Dir+"/broken_test.go", []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	commit, err := c.Push(ctx, "feat: a test that fails")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := os.Remove(c.Dir + "/broken_test.go"); err != nil {
			t.Error(err)
		}
		if _, err := c.Push(ctx, "fix: the test that fails [skip ci]"); err != nil {
			t.Error(err)
		}
	})
	r := finish(t, ctx, shared.Applications, commit, false)
	if logs := shared.Logs(ctx, r); !strings.Contains(logs, "broken on purpose") {
		t.Errorf("the logs do not show the failing test:\n%s", logs)
	}
	if after, err := c.Git(ctx, "ls-remote", "--tags", "origin"); err != nil || after != tags {
		t.Errorf("tags changed: %q → %q, %v", tags, after, err)
	}
	if after := environmentTip(t, ctx); after != before {
		t.Errorf("the environment moved from %s to %s", before, after)
	}
}

// TestRow24_UnhealthyChartFails deploys an image that does not exist and then resets the branch
// to the commit before: the first run fails with the cause, the reset is deployed (row 15).
func TestRow24_UnhealthyChartFailsAndResetIsDeployed(t *testing.T) {
	ctx := deadline(t)
	settle(t, ctx)
	c := clone(t, ctx, shared.Staging().Repository())
	good, err := c.Git(ctx, "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	bad := "user:\n  image:\n    repository: " + shared.Registry + "/acme/absent\n    digest: \"\"\n    tag: none\n"
	if err := c.Replace("values.yaml", "user:\n", bad); err != nil {
		t.Fatal(err)
	}
	commit, err := c.Push(ctx, "feat: an image that does not exist")
	if err != nil {
		t.Fatal(err)
	}
	r := finish(t, ctx, shared.Staging().RunNamespace(), commit, false)
	logs := shared.Logs(ctx, r)
	if !strings.Contains(logs, "ImagePullBackOff") && !strings.Contains(logs, "ErrImagePull") {
		t.Errorf("the cause is not shown:\n%s", logs)
	}
	if note := environmentNote(t, ctx, commit); !strings.Contains(note, `"state":"failed"`) {
		t.Errorf("deployment record %q, want state failed", note)
	}

	if _, err := c.Git(ctx, "reset", "-q", "--hard", good); err != nil {
		t.Fatal(err)
	}
	before, err := shared.Runs(ctx, shared.Staging().RunNamespace())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Git(ctx, "push", "-q", "--force", "origin", "HEAD"); err != nil {
		t.Fatal(err)
	}
	reset := nextRun(t, ctx, len(before))
	if reset.Result("commit") != good || reset.Result("outcome") != "deployed" {
		t.Errorf("after the reset: outcome %q, commit %q; want deployed, %s", reset.Result("outcome"), reset.Result("commit"), good)
	}
	if logs := shared.Logs(ctx, reset); !strings.Contains(logs, "reset") {
		t.Errorf("no warning about the reset:\n%s", logs)
	}
}

// nextRun waits for a run beyond the n that are there, and for its good end.
func nextRun(t *testing.T, ctx context.Context, n int) site.Run {
	t.Helper()
	var r site.Run
	if err := site.Until(ctx, "another run", func(ctx context.Context) (bool, error) {
		runs, err := shared.Runs(ctx, shared.Staging().RunNamespace())
		if len(runs) > n {
			r = runs[len(runs)-1]
		}
		return len(runs) > n, err
	}); err != nil {
		t.Fatal(err)
	}
	r, err := shared.Finish(ctx, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Well {
		t.Fatalf("run %s: %s\n%s", r.Name, r.Why, shared.Logs(ctx, r))
	}
	return r
}

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
	tip := environmentTip(t, ctx)
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
