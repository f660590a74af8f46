package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestAnswers(t *testing.T) {
	server := httptest.NewServer(handler())
	defer server.Close()
	for path, want := range map[string]string{"/": answer, "/healthz": "ok"} {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || string(text) != want {
			t.Errorf("GET %s: %s %q, want %q", path, resp.Status, text, want)
		}
	}
}

func TestProbe(t *testing.T) {
	server := httptest.NewServer(handler())
	defer server.Close()
	if err := probe(context.Background(), server.URL+"/healthz", time.Second); err != nil {
		t.Error(err)
	}
	if err := probe(context.Background(), server.URL+"/absent", time.Millisecond); err == nil {
		t.Error("a page that is not there counts as healthy")
	}
}

// TestProbeConnectsAnew: what answered once need not be asked for ever.
func TestProbeConnectsAnew(t *testing.T) {
	type number struct{}
	connections := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(number{}) == 1 {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		connections++
		return context.WithValue(ctx, number{}, connections)
	}
	server.Start()
	defer server.Close()
	if err := probe(context.Background(), server.URL, 10*time.Second); err != nil {
		t.Error(err)
	}
}
