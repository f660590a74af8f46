package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/kube"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/progress"
)

// newTestLight is a light profile of its own: own data and ports, but the programs that are already compiled.
func newTestLight(t *testing.T) light {
	t.Helper()
	s, err := readSettings(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	programs := filepath.Join(s.Cache, "programs")
	s.Cache, s.LightAPIPort, s.LightEtcdPort = t.TempDir(), freePort(), freePort()
	if err := errors.Join(os.MkdirAll(programs, 0o755), os.Symlink(programs, filepath.Join(s.Cache, "programs"))); err != nil {
		t.Fatal(err)
	}
	l := newLight(s, progress.New(t.Output()))
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// freePort returns a port such that it and the next one are free now. It is none of those that the system gives to
// outgoing connections, one of which may take it before we do.
func freePort() int {
	for {
		port := 20000 + rand.IntN(10000)
		if portFree(port) == nil && portFree(port+1) == nil {
			return port
		}
	}
}

func (l light) mustUp(t *testing.T) {
	t.Helper()
	if err := l.Up(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	access, err := l.credentials()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kube.NewClient(access)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.NodeReady(t.Context(), simulatedNode); err != nil {
		t.Error(err)
	}
}

func pids(l light) map[string]int {
	all := map[string]int{}
	for _, name := range lightServers() {
		all[name] = l.table.PID(name)
	}
	return all
}

func TestLightStartsOverLeftovers(t *testing.T) {
	l := newTestLight(t)
	stranger := exec.Command("/bin/sleep", "600")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
	leave := func(name, text string) {
		if err := writeFile(l.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// An earlier start, cut short by a reboot: numbers that belong to others now, halves of files.
	leave("run/etcd.json", fmt.Sprintf(`{"pid":%d,"started":"another boot/1","command":"x"}`, stranger.Process.Pid))
	leave("run/kube-apiserver.json", `{"pid":1,"sta`)
	leave("run/removed-in-a-newer-version.json", `{"pid":1,"started":"another boot/1","command":"x"}`)
	leave("admin.conf.new", "apiVersion: v1\nki")
	leave("pki/ca.crt", "-----BEGIN CERT")

	l.mustUp(t)
	first := pids(l)
	t.Run("up again changes nothing", func(t *testing.T) {
		l.mustUp(t)
		if now := pids(l); fmt.Sprint(now) != fmt.Sprint(first) {
			t.Errorf("processes were %v and are %v", first, now)
		}
	})
	t.Run("up after a kill starts that server", func(t *testing.T) {
		killed := "kube-apiserver"
		if err := syscall.Kill(first[killed], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		l.awaitGone(t, killed)
		l.mustUp(t)
		now := pids(l)
		if now[killed] == first[killed] || now["etcd"] != first["etcd"] {
			t.Errorf("processes were %v and are %v", first, now)
		}
	})
	t.Run("down ends just these, and up finds the data", func(t *testing.T) {
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, pid := range pids(l) {
			if pid != 0 {
				t.Errorf("%s is still process %d", name, pid)
			}
		}
		if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("a stranger's process is gone: %v", err)
		}
		if err := portFree(l.settings.LightAPIPort); err != nil {
			t.Error(err)
		}
		l.mustUp(t)
	})
}

func (l light) awaitGone(t *testing.T, name string) {
	t.Helper()
	gone := func(context.Context) error {
		if l.table.PID(name) != 0 {
			return errors.New("still there")
		}
		return nil
	}
	if err := l.table.Await(t.Context(), 10*time.Second, name+" to end", gone); err != nil {
		t.Fatal(err)
	}
}

func TestCallersShareOneStart(t *testing.T) {
	l := newTestLight(t)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := l.Up(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for name, pid := range pids(l) {
		if pid == 0 {
			t.Errorf("%s does not run", name)
		}
	}
}

func TestPortOfAStrangerIsNamed(t *testing.T) {
	l := newTestLight(t)
	stranger, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", l.settings.LightEtcdPort))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	err = l.Up(t.Context(), "")
	if want := fmt.Sprintf("port %d is taken", l.settings.LightEtcdPort); err == nil || !contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}
