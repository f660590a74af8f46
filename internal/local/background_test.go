package local_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/local"
)

// As the program of a Background this test binary serves a folder.
const serveFolder, serveAddress = "LOCKSTEP_TEST_FOLDER", "LOCKSTEP_TEST_ADDRESS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveFolder); dir != "" {
		if err := program(dir, os.Getenv(serveAddress)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func program(dir, address string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := local.Open(dir, local.Options{})
	if err != nil {
		return err
	}
	l, err := local.Listen(address)
	if err != nil {
		return err
	}
	return s.Serve(ctx, l)
}

func background(t *testing.T) local.Background {
	dir := t.TempDir()
	t.Cleanup(func() {
		if _, err := local.Stop(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	return local.Background{Dir: dir, Env: append(os.Environ(), serveFolder+"="+dir, serveAddress+"=127.0.0.1:0")}
}

func start(t *testing.T, b local.Background) *local.Instance {
	t.Helper()
	i, err := local.Start(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestUpTwiceAndDownTwice(t *testing.T) {
	b := background(t)
	first, second := start(t, b), start(t, b)
	if first.Already || !second.Already || first.PID != second.PID || second.Address != first.Address {
		t.Errorf("got %+v, then %+v", first, second)
	}
	for i, want := range []bool{true, false} {
		if ran, err := local.Stop(t.Context(), b.Dir); err != nil || ran != want {
			t.Errorf("stop %d: got %t, %v", i, ran, err)
		}
	}
	if i, err := local.Running(b.Dir); i != nil || err != nil {
		t.Errorf("got %+v, %v", i, err)
	}
	// It ended before Stop returned; that its parent, this process, collects it may come later.
	until(t, "the process to be gone", func() bool { return syscall.Kill(first.PID, 0) != nil })
}

func TestTwoStartsAtOnceGiveOneServer(t *testing.T) {
	b := background(t)
	var got [3]*local.Instance
	var group sync.WaitGroup
	for i := range got {
		group.Go(func() {
			var err error
			if got[i], err = local.Start(t.Context(), b); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, i := range got[1:] {
		if i == nil || got[0] == nil || i.PID != got[0].PID {
			t.Errorf("got %+v and %+v", got[0], i)
		}
	}
}

func TestUpAfterTheServerWasKilled(t *testing.T) {
	b := background(t)
	first := start(t, b)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the process to be gone", func() bool { i, err := local.Running(b.Dir); return i == nil && err == nil })
	if second := start(t, b); second.Already || second.PID == first.PID {
		t.Errorf("got %+v after %+v", second, first)
	}
}

// TestARecycledIDIsLeftAlone records the id of a process that started at
// another time: it is somebody else's.
func TestARecycledIDIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- other.Wait() }()
	text, err := json.Marshal(local.Instance{PID: other.Process.Pid, Started: "an earlier boot/1", Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "server.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if ran, err := local.Stop(t.Context(), dir); ran || err != nil {
		t.Errorf("got %t, %v", ran, err)
	}
	select {
	case err := <-ended:
		t.Errorf("the other process was ended: %v", err)
	default:
	}
	_ = other.Process.Kill()
	<-ended
}

func TestAProgramThatEndsIsExplained(t *testing.T) {
	b := background(t)
	b.Env = append(b.Env, serveAddress+"=192.0.2.1:1")
	_, err := local.Start(t.Context(), b)
	if f := fault.Of(err); f.Reason != "ServersNotUp" || !strings.Contains(f.Error(), "are for this machine only") {
		t.Errorf("got %+v", f)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b.Address = l.Addr().String()
	if _, err := local.Start(t.Context(), b); fault.Of(err).Reason != "PortTaken" {
		t.Errorf("got %v", err)
	}
}
