package local

import (
	"bufio"
	"context"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestARequestThatDoesNotEndIsCutOff stops a server while a webhook is at work.
func TestARequestThatDoesNotEndIsCutOff(t *testing.T) {
	working, cut := make(chan struct{}), make(chan struct{})
	s, err := Open(t.TempDir(), Options{Receive: func(ctx context.Context, _ Call) (any, error) {
		close(working)
		<-ctx.Done()
		close(cut)
		return nil, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.grace = 50 * time.Millisecond
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	go func() {
		if resp, err := http.Post("http://"+l.Addr().String()+"/hooks/x", "application/json", strings.NewReader("{}")); err == nil {
			resp.Body.Close()
		}
	}()
	<-working
	stop()
	<-cut
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s.underWay.Load() != 0 {
		t.Error("a request is still at work")
	}
}

// TestAStubbornProcessIsKilled ends one that ignores SIGTERM.
func TestAStubbornProcessIsKilled(t *testing.T) {
	cmd := exec.Command("sh", "-c", `trap "" TERM; echo ready; while :; do read -r _; done`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := end(t.Context(), cmd.Process.Pid, 300*time.Millisecond, func() bool { return len(ended) > 0 }); err != nil {
		t.Fatal(err)
	}
	if text := (<-ended).Error(); text != "signal: killed" {
		t.Errorf("got %s", text)
	}
}
