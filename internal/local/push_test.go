package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/local"
)

const zeros = "0000000000000000000000000000000000000000"

func TestPushIsTold(t *testing.T) {
	var box mailbox
	s := serve(t, t.TempDir(), box.receive)
	url := s.create(t, "acme/app", local.Webhook{URL: "/hooks/apps", Secret: "s3cret"})
	dir := checkout(t, url)
	first := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "push", "-q", "origin", "main")
	second := write(t, dir, "a.txt", "a")
	third := write(t, dir, "README.md", "changed\n")
	git(t, dir, "push", "-q", "origin", "main")

	calls := box.await(t, 2)
	e := parse(t, calls[0])
	if e.Ref != "refs/heads/main" || e.Before != zeros || e.After != first || !e.Created || e.HeadCommit == nil || e.HeadCommit.ID != first {
		t.Errorf("the first push: %+v", e)
	}
	// There is no login here: the pusher is whom the commit names.
	if who := strings.TrimSpace(git(t, dir, "log", "-1", "--format=%cn <%ce>")); fmt.Sprintf("%s <%s>", e.Pusher.Name, e.Pusher.Email) != who || e.Sender.Login != "local" {
		t.Errorf("pusher %+v, sender %+v; the commit is by %s", e.Pusher, e.Sender, who)
	}
	e = parse(t, calls[1])
	if e.Before != first || e.After != third || e.Created || e.Forced || len(e.Commits) != 2 || e.Commits[0].ID != second || e.Commits[1].ID != third {
		t.Errorf("the second push: %+v", e)
	}
	if e.HeadCommit.Message != "feat: README.md" || e.HeadCommit.Author.Name != "Ada" || fmt.Sprint(e.HeadCommit.Modified) != "[README.md]" {
		t.Errorf("head_commit: %+v", e.HeadCommit)
	}
	r := e.Repository
	if r.FullName != "acme/app" || r.CloneURL != url || r.DefaultBranch != "main" || r.Name != "app" || r.HTMLURL != strings.TrimSuffix(url, ".git") {
		t.Errorf("repository: %+v", r)
	}
	h := calls[1].Header
	if h.Get("X-GitHub-Event") != "push" || h.Get("X-GitHub-Delivery") == calls[0].Header.Get("X-GitHub-Delivery") ||
		h.Get("X-Hub-Signature-256") != signature(calls[1].Body, "s3cret") || calls[1].Name != "apps" {
		t.Errorf("headers: %v", h)
	}
}

func TestEveryChangedRefIsTold(t *testing.T) {
	var box mailbox
	s := serve(t, t.TempDir(), box.receive)
	dir := checkout(t, s.create(t, "acme/app", local.Webhook{URL: "/hooks/apps"}))
	first := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "tag", "-a", "v1", "-m", "one")
	git(t, dir, "branch", "topic")
	git(t, dir, "push", "-q", "origin", "main", "topic", "v1", "HEAD:refs/notes/x")
	git(t, dir, "commit", "-q", "--amend", "-m", "another")
	git(t, dir, "push", "-q", "--force", "origin", "main", ":topic")
	git(t, dir, "push", "-q", "origin", "main") // changes nothing

	var got []string
	for _, c := range box.await(t, 5) {
		e := parse(t, c)
		got = append(got, fmt.Sprintf("%s %t %t %t %t", e.Ref, e.Created, e.Deleted, e.Forced, e.HeadCommit == nil))
		if e.Deleted && (e.Before != first || e.After != zeros) {
			t.Errorf("deletion: %+v", e)
		}
	}
	want := []string{
		"refs/heads/main true false false false", "refs/heads/topic true false false false", "refs/tags/v1 true false false false",
		"refs/heads/main false false true false", "refs/heads/topic false true false true",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestConcurrentPushesAreToldOnceEach pushes from many checkouts at once, each
// to a branch of its own, and all to one branch, which a single one wins.
func TestConcurrentPushesAreToldOnceEach(t *testing.T) {
	var box mailbox
	s := serve(t, t.TempDir(), box.receive)
	url := s.create(t, "acme/app", local.Webhook{URL: "/hooks/apps"})
	const writers = 6
	dirs, commits := make([]string, writers), make([]string, writers)
	for i := range writers {
		dirs[i] = checkout(t, url)
		commits[i] = write(t, dirs[i], fmt.Sprintf("%d.txt", i), "x")
	}
	won := make([]bool, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			if out, err := tryGit(t, dirs[i], "push", "-q", "origin", fmt.Sprintf("HEAD:refs/heads/own-%d", i)); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			_, err := tryGit(t, dirs[i], "push", "-q", "origin", "HEAD:refs/heads/main")
			won[i] = err == nil
		})
	}
	group.Wait()
	told := map[string]string{}
	for _, c := range box.await(t, writers+1) {
		e := parse(t, c)
		if _, twice := told[e.Ref]; twice || e.Before != zeros {
			t.Errorf("%s was told twice or wrongly: %+v", e.Ref, e)
		}
		told[e.Ref] = e.After
	}
	for i := range writers {
		if told[fmt.Sprintf("refs/heads/own-%d", i)] != commits[i] {
			t.Errorf("branch %d: told %v, pushed %s", i, told, commits[i])
		}
		if won[i] != (told["refs/heads/main"] == commits[i]) {
			t.Errorf("writer %d: won %t, told main is %s", i, won[i], told["refs/heads/main"])
		}
	}
	s.stop()
	if n := len(box.all()); n != writers+1 {
		t.Errorf("%d webhooks for %d changes", n, writers+1)
	}
}

// A push of several megabytes comes in chunks and without a length.
func TestLargePushAndClone(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	url := s.create(t, "acme/app")
	dir := checkout(t, url)
	noise := make([]byte, 3<<20)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(noise)
	commit := write(t, dir, "noise", string(noise))
	git(t, dir, "push", "-q", "origin", "main")

	clone := filepath.Join(t.TempDir(), "clone")
	git(t, t.TempDir(), "clone", "-q", "--filter=blob:none", url, clone)
	if got := git(t, clone, "rev-parse", "HEAD"); got != commit {
		t.Errorf("cloned %s, pushed %s", got, commit)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/info/refs?service=git-upload-pack", nil)
	req.Header.Set("Git-Protocol", "version=2")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); !strings.Contains(string(text), "version 2") {
		t.Errorf("no protocol version 2: %s", text)
	}
}

func TestDeliveriesAreTriedAgain(t *testing.T) {
	var box mailbox
	refusals := 2
	s := serve(t, t.TempDir(), func(ctx context.Context, c local.Call) (any, error) {
		if len(box.all()) < refusals {
			_, _ = box.receive(ctx, c)
			return nil, errors.New("not now")
		}
		return box.receive(ctx, c)
	})
	dir := checkout(t, s.create(t, "acme/app", local.Webhook{URL: "/hooks/apps", Secret: "hidden-secret"}))
	git(t, dir, "push", "-q", "origin", "main")
	calls := box.await(t, 3)
	for _, c := range calls[1:] {
		if string(c.Body) != string(calls[0].Body) || c.Header.Get("X-GitHub-Delivery") != calls[0].Header.Get("X-GitHub-Delivery") {
			t.Error("a delivery that is made again is another one")
		}
	}
	until(t, "the delivery to be noted", func() bool { return s.status(t).Deliveries[0].State == local.Delivered })
	if d := s.status(t).Deliveries[0]; d.Attempts != 3 || d.Status != http.StatusAccepted || d.Error != "" || d.Ref != "refs/heads/main" {
		t.Errorf("got %+v", d)
	}
	if text := fmt.Sprint(s.status(t)); strings.Contains(text, "hidden-secret") {
		t.Errorf("the secret shows: %s", text)
	}
}

func TestRefusedDeliveriesEnd(t *testing.T) {
	s := serve(t, t.TempDir(), func(context.Context, local.Call) (any, error) {
		return nil, fault.Refused("WebhookSignatureInvalid", errors.New("no"), "")
	})
	dir := checkout(t, s.create(t, "acme/app", local.Webhook{URL: "/hooks/apps"}))
	git(t, dir, "push", "-q", "origin", "main")
	until(t, "the delivery to be noted", func() bool { return s.status(t).Deliveries[0].State == local.Abandoned })
	if d := s.status(t).Deliveries[0]; d.Attempts != 1 || d.Status != http.StatusForbidden || !strings.Contains(d.Error, "WebhookSignatureInvalid") {
		t.Errorf("got %+v", d)
	}
}

// TestRow42_DeliveriesFollowNoRedirect: a receiver that names another address gets the signature, the other one not.
func TestRow42_DeliveriesFollowNoRedirect(t *testing.T) {
	var box mailbox
	other := serve(t, t.TempDir(), box.receive)
	moved := httptest.NewServer(http.RedirectHandler(other.url+"/hooks/apps", http.StatusTemporaryRedirect))
	t.Cleanup(moved.Close)
	s := serve(t, t.TempDir(), nil)
	address := strings.Replace(moved.URL, "http://", "http://user:hidden-password@", 1)
	dir := checkout(t, s.create(t, "acme/app", local.Webhook{URL: address, Secret: "hidden-secret"}))
	git(t, dir, "push", "-q", "origin", "main")
	until(t, "the delivery to be noted", func() bool { return s.status(t).Deliveries[0].State == local.Abandoned })
	if d := s.status(t).Deliveries[0]; d.Status != http.StatusTemporaryRedirect || len(box.all()) != 0 {
		t.Errorf("got %+v, and %d webhooks elsewhere", d, len(box.all()))
	}
	if text := fmt.Sprint(s.status(t)); strings.Contains(text, "hidden-") {
		t.Errorf("a secret shows: %s", text)
	}
}

func TestDataOutlivesTheServer(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, func(context.Context, local.Call) (any, error) { return nil, errors.New("not now") })
	work := checkout(t, s.create(t, "acme/app", local.Webhook{URL: "/hooks/apps", Secret: "s3cret"}))
	git(t, work, "push", "-q", "origin", "main")
	until(t, "an attempt", func() bool { return s.status(t).Deliveries[0].Attempts > 0 })
	s.stop()

	var box mailbox
	s = serve(t, dir, box.receive)
	e := parse(t, box.await(t, 1)[0])
	if e.After != git(t, work, "rev-parse", "HEAD") || !strings.HasPrefix(e.Repository.CloneURL, s.url) {
		t.Errorf("the webhook that was left: %+v", e)
	}
	git(t, t.TempDir(), "clone", "-q", s.url+"/git/acme/app.git", "clone")
	status := s.status(t)
	if len(status.Repositories) != 1 || status.Repositories[0].Name != "acme/app" || status.PID != os.Getpid() ||
		status.Repositories[0].CloneURL != s.url+"/git/acme/app.git" || fmt.Sprint(status.Repositories[0].Webhooks) != "[/hooks/apps]" {
		t.Errorf("got %+v", status)
	}
	info, err := os.Stat(filepath.Join(dir, "git/acme/app.git/webhooks.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the secrets: %v, %v", info, err)
	}
}
