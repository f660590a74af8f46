package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/release"
)

func TestStatusOf(t *testing.T) {
	start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	one, twelve := make([]environment.Application, 1), make([]environment.Application, 12)
	for _, c := range []struct {
		record  environment.Record
		said    bool
		success bool
		text    string
	}{
		{environment.Record{State: environment.Verified, Applications: twelve, Started: start, Finished: start.Add(41 * time.Second)}, true, true, "verified: 12 applications in 41 s"},
		{environment.Record{State: environment.Verified, Applications: one, Started: start, Finished: start.Add(185 * time.Second)}, true, true, "verified: 1 application in 3 min 5 s"},
		{environment.Record{State: environment.Deployed, Applications: one, Finished: start}, true, true, "deployed, not verified: 1 application"},
		{environment.Record{State: environment.Deployed, Reason: "SimulatedNodes", Applications: twelve, Started: start, Finished: start}, true, true, "deployed, not verified (SimulatedNodes): 12 applications in 0 s"},
		{environment.Record{State: environment.Failed, Reason: "ImagePullBackOff", Applications: one}, true, false, "failed: ImagePullBackOff"},
		{environment.Record{State: environment.Failed}, true, false, "failed"},
		{environment.Record{State: environment.Superseded}, false, false, ""},
		{environment.Record{}, false, false, ""},
	} {
		c.record.Environment = "staging"
		want := forge.Status{Context: "lockstep/staging", Success: c.success, Text: c.text}
		if s, said := statusOf(c.record); s != want || said != c.said {
			t.Errorf("%s: %+v %v, want %+v %v", c.record.State, s, said, want, c.said)
		}
	}
}

func TestRunURL(t *testing.T) {
	const template = "https://tekton.example.com/#/namespaces/{namespace}/pipelineruns/{name}"
	for _, c := range []struct{ template, run, want string }{
		{template, "acme-lockstep/staging-1", "https://tekton.example.com/#/namespaces/acme-lockstep/pipelineruns/staging-1"},
		{template, "a/b/../c", "https://tekton.example.com/#/namespaces/a/pipelineruns/b%2F..%2Fc"},
		{template, "laptop", ""},
		{"", "acme-lockstep/staging-1", ""},
	} {
		if got, err := runURL(c.template, c.run); got != c.want || err != nil {
			t.Errorf("%s in %s: %q, %v", c.run, c.template, got, err)
		}
	}
	for _, template := range []string{"tekton.example.com/{name}", "javascript:alert(1)", "https:///{name}", "https://canary:%zz@ci.example.com"} {
		if _, err := runURL(template, "acme/1"); fault.Of(err).Kind != fault.KindUsage || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", template, err)
		}
	}
}

// TestRow49_ForgeDown: whatever the forge does, the deployment is on record, the
// step ends well and in time, and says what is missing. Row 46: it tells nobody
// the token, which the forge repeats.
func TestRow49_ForgeDown(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		reason string
	}{
		"500":          {code(http.StatusInternalServerError), "ForgeUnavailable"},
		"503":          {code(http.StatusServiceUnavailable), "ForgeUnavailable"},
		"401":          {code(http.StatusUnauthorized), "ForgeAuthenticationFailed"},
		"403":          {code(http.StatusForbidden), "ForgePermissionDenied"},
		"404":          {code(http.StatusNotFound), "ForgeNotFound"},
		"hangs":        {hang, "ForgeUnavailable"},
		"never ends":   {forever, "ForgeUnavailable"},
		"another page": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>welcome</html>") }, "ForgeUnavailable"},
		"another place": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}, "ForgeRefused"},
	} {
		t.Run(name, func(t *testing.T) {
			h := httptest.NewServer(http.HandlerFunc(c.answer))
			defer h.Close()
			config, said := statusConfig(t, h.URL), listen(t)
			start := time.Now()
			if err := tellForge(t.Context(), config, aRecord()); err != nil {
				t.Errorf("the step fails: %v", err)
			}
			if took := time.Since(start); took > config.StatusTimeout+time.Second {
				t.Errorf("it took %s", took)
			}
			if config.CommitStatus != "missing" {
				t.Errorf("result %q", config.CommitStatus)
			}
			text := said.String()
			for _, want := range []string{"level=WARN", "the commit status is missing", "reason=" + c.reason, "what-to-do=", "run record again"} {
				if !strings.Contains(text, want) {
					t.Errorf("not said: %s in %s", want, text)
				}
			}
			if strings.Contains(text, "canary") {
				t.Errorf("the token is said: %s", text)
			}
		})
	}
}

// TestRow49_ForgeIsLast: while the forge is asked, the note is written and the
// lease is free for others.
func TestRow49_ForgeIsLast(t *testing.T) {
	on, host := clustertest.Start(t), gittest.NewServer(t)
	repository := host.Create("acme/staging", gittest.Files{"Chart.yaml": "apiVersion: v2\nname: staging\nversion: 0.1.0\n"})
	client, err := cluster.Connect(t.Context(), on.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	name := release.LeaseName("staging")
	if _, err := client.Acquire(t.Context(), cluster.LeaseOptions{Name: name, Holder: "acme/1", For: time.Hour, Wait: time.Second}); err != nil {
		t.Fatal(err)
	}
	asked := false
	host.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			return false
		}
		if state, err := client.ReadLease(t.Context(), name, "acme/1"); err != nil || state.Held {
			t.Errorf("the lease is held while the forge is asked: %v, %v", state.Held, err)
		}
		if !strings.Contains(repository.Git("for-each-ref"), "refs/notes/lockstep") {
			t.Error("the forge is asked before the note is written")
		}
		asked = true
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	c := statusConfig(t, host.URL)
	c.URL, c.Commit, c.Release, c.Namespace, c.Timeout = repository.URL, repository.Head("main"), "staging", on.Namespace, time.Minute
	c.Status, c.Deployment, c.Verified = "Succeeded", "deployed", "verified"
	if err := run(t.Context(), c); err != nil || !asked || c.Record != "verified" || c.CommitStatus != "missing" {
		t.Errorf("asked %v, record %q, status %q: %v", asked, c.Record, c.CommitStatus, err)
	}
}

// TestRow49_ForgeBack: a forge that comes back in time has the status.
func TestRow49_ForgeBack(t *testing.T) {
	var got map[string]string
	asked := 0
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked < 3 {
			code(http.StatusBadGateway)(w, r)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, "{}")
	}))
	defer h.Close()
	config := statusConfig(t, h.URL)
	config.StatusTimeout = time.Minute
	if err := tellForge(t.Context(), config, aRecord()); err != nil || config.CommitStatus != "set" || got["state"] != "success" || got["context"] != "lockstep/staging" {
		t.Errorf("result %q after %d questions, %v: %v", config.CommitStatus, asked, got, err)
	}
}

// TestStatusOnlyWhenAsked: nobody is asked then.
func TestStatusOnlyWhenAsked(t *testing.T) {
	asked := 0
	h := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer h.Close()
	off := statusConfig(t, h.URL)
	off.WithStatus = false
	superseded := aRecord()
	superseded.State = environment.Superseded
	for _, c := range []struct {
		config *config
		record environment.Record
	}{{off, aRecord()}, {statusConfig(t, h.URL), superseded}, {statusConfig(t, h.URL), environment.Record{}}} {
		if err := tellForge(t.Context(), c.config, c.record); err != nil || asked > 0 || c.config.CommitStatus != "" {
			t.Errorf("%+v: asked %d times, result %q: %v", c.record, asked, c.config.CommitStatus, err)
		}
	}
}

// TestRow16_StatusSignal: a signal ends the wait for the forge, and is not taken
// for one that is down.
func TestRow16_StatusSignal(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	signal := fmt.Errorf("a signal")
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel(signal)
		hang(w, r)
	}))
	defer h.Close()
	config := statusConfig(t, h.URL)
	config.StatusTimeout = time.Minute
	start := time.Now()
	if err := tellForge(ctx, config, aRecord()); err != signal || time.Since(start) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func aRecord() environment.Record {
	return environment.Record{State: environment.Verified, Environment: "staging", Commit: strings.Repeat("c0ffee00", 5)}
}

// statusConfig asks a GitHub at url with a token of the files that Git reads.
func statusConfig(t *testing.T, url string) *config {
	t.Helper()
	dir := t.TempDir()
	entry := strings.Replace(url, "://", "://x-access-token:canary-token@", 1)
	if err := os.WriteFile(filepath.Join(dir, ".git-credentials"), []byte(entry+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &config{
		URL: url + "/acme/environment-staging.git", Commit: aRecord().Commit, Run: "acme/1",
		WithStatus: true, StatusTimeout: 3 * time.Second, Forge: "github", Login: git.Login{Creds: dir, SSLVerify: true},
	}
}

// listen catches the log, as it is before the door of the program looks over it.
func listen(t *testing.T) *bytes.Buffer {
	said, before := &bytes.Buffer{}, slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(said, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return said
}

func code(status int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"message":"no, %s"}`, r.Header.Get("Authorization"))
	}
}

func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func forever(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		fmt.Fprintf(w, " ")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(10 * time.Millisecond)
	}
}
