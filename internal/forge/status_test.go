package forge_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
)

// asked is a host that takes every status, and what it was told last.
func asked(t *testing.T, kind forge.Kind, s forge.Status) map[string]string {
	t.Helper()
	got := map[string]string{}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte("{}"))
	}))
	defer h.Close()
	r := openRepository(t, forge.Options{URL: h.URL + "/acme/environment", Kind: kind, Credential: token})
	if err := r.SetStatus(t.Context(), "c0ffee", s); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestRow46_Status: whoever may read the repository reads its statuses.
func TestRow46_Status(t *testing.T) {
	got := asked(t, forge.GitHub, forge.Status{
		Context: "lockstep/staging", Text: "failed:\n clone https://ci:canary-1@git.example.com",
		URL: "https://ci:canary-2@ci.example.com/runs/1?token=canary-3",
	})
	if text := got["description"]; text != "failed: clone https://***@git.example.com" {
		t.Errorf("text: %q", text)
	}
	if page := got["target_url"]; page != "https://ci.example.com/runs/1?token=***" {
		t.Errorf("page: %q", page)
	}
}

// TestStatusFits: GitHub takes 140 characters of text, Bitbucket 40 of a key.
func TestStatusFits(t *testing.T) {
	s := forge.Status{Context: "lockstep/" + strings.Repeat("e", 41) + "1", Text: strings.Repeat("ü", 141)}
	if text := []rune(asked(t, forge.GitHub, s)["description"]); len(text) != 140 || text[139] != '…' {
		t.Errorf("text of %d characters: %s", len(text), string(text))
	}
	one := asked(t, forge.Bitbucket, s)
	s.Context = s.Context[:50] + "2"
	two := asked(t, forge.Bitbucket, s)
	if len(one["key"]) != 40 || len(two["key"]) != 40 || one["key"] == two["key"] || two["name"] != s.Context {
		t.Errorf("keys: %v, %v", one, two)
	}
}

// TestRow49_Insist: a forge that is down, busy or silent for a while is asked
// again, one that refuses is not, and none of them takes longer than it may.
func TestRow49_Insist(t *testing.T) {
	status := forge.Status{Context: "lockstep/staging", Success: true}
	for name, c := range map[string]struct {
		first  func(w http.ResponseWriter, r *http.Request) // answers the first two questions
		within time.Duration
		reason string
		asked  int32
	}{
		"down":            {code(http.StatusBadGateway), 20 * time.Second, "", 3},
		"silent":          {silent, 5 * time.Second, "", 3},
		"busy":            {busy("1"), 20 * time.Second, "", 3},
		"busy for longer": {busy("20"), 5 * time.Second, "ForgeUnavailable", 1},
		"no token":        {code(http.StatusUnauthorized), 20 * time.Second, "ForgeAuthenticationFailed", 1},
		"no right":        {code(http.StatusForbidden), 20 * time.Second, "ForgePermissionDenied", 1},
		"no repository":   {code(http.StatusNotFound), 20 * time.Second, "ForgeNotFound", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) < 3 {
					c.first(w, r)
					return
				}
				_, _ = w.Write([]byte("{}"))
			}))
			defer h.Close()
			ctx, cancel := context.WithTimeout(t.Context(), c.within)
			defer cancel()
			err := forge.Insist(ctx, func(ctx context.Context) error {
				r, err := forge.Open(ctx, forge.Options{URL: h.URL + "/acme/environment", Kind: forge.GitHub, Credential: token})
				if err != nil {
					return err
				}
				return r.SetStatus(ctx, "c0ffee", status)
			})
			if got := fault.Of(err).Reason; got != c.reason || n.Load() != c.asked {
				t.Errorf("%q after %d questions, want %q after %d: %v", got, n.Load(), c.reason, c.asked, err)
			}
			if ctx.Err() != nil {
				t.Errorf("it took longer than %s", c.within)
			}
		})
	}
}

// TestInsistWithoutDeadline: nothing says for how long.
func TestInsistWithoutDeadline(t *testing.T) {
	n, down := 0, errors.New("down")
	if err := forge.Insist(t.Context(), func(context.Context) error { n++; return down }); !errors.Is(err, down) || n != 1 {
		t.Errorf("tried %d times: %v", n, err)
	}
}

func code(status int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// silent reads what it is told, or it would not notice that the other side left.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func busy(seconds string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", seconds)
		w.WriteHeader(http.StatusTooManyRequests)
	}
}
