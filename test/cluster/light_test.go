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
	if err := l.client(t).NodeReady(t.Context(), simulatedNode); err != nil {
		t.Error(err)
	}
}

func (l light) client(t *testing.T) *kube.Client {
	t.Helper()
	access, err := l.credentials()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kube.NewClient(access)
	if err != nil {
		t.Fatal(err)
	}
	return client
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

// TestSimulatedPods wants one pod to become ready and one to crash, as it asks for.
func TestSimulatedPods(t *testing.T) {
	l := newTestLight(t)
	l.mustUp(t)
	client := l.client(t)
	for name, want := range map[string]string{"ready": "Running true ", "crashing": "Running false CrashLoopBackOff"} {
		path := "/api/v1/namespaces/default/pods/" + name
		pod := map[string]any{
			"apiVersion": "v1", "kind": "Pod",
			"metadata": map[string]any{"name": name, "annotations": map[string]string{}},
			"spec":     map[string]any{"containers": []map[string]string{{"name": "main", "image": "registry.example.com/none"}}},
		}
		if name == "crashing" {
			pod["metadata"].(map[string]any)["annotations"] = map[string]string{"simulated.lockstep.dev/container": "CrashLoopBackOff"}
		}
		// The namespace's account comes a moment after the API server.
		created := func(ctx context.Context) error { return client.Apply(ctx, path, pod) }
		if err := l.table.Await(t.Context(), time.Minute, "pod "+name+" to be admitted", created); err != nil {
			t.Fatal(err)
		}
		if err := l.table.Await(t.Context(), time.Minute, "pod "+name, func(ctx context.Context) error { return shows(ctx, client, path, want) }); err != nil {
			t.Error(err)
		}
	}
}

// shows is nil when a pod's first container has this phase, readiness and reason to wait.
func shows(ctx context.Context, client *kube.Client, path, want string) error {
	var pod struct {
		Status struct {
			Phase             string
			ContainerStatuses []struct {
				Ready bool
				State struct{ Waiting struct{ Reason string } }
			}
		}
	}
	if err := client.Get(ctx, path, &pod); err != nil {
		return err
	}
	for _, c := range pod.Status.ContainerStatuses {
		got := fmt.Sprintf("%s %t %s", pod.Status.Phase, c.Ready, c.State.Waiting.Reason)
		if got == want {
			return nil
		}
		return fmt.Errorf("it is %q, want %q", got, want)
	}
	return fmt.Errorf("no container yet, want %q", want)
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
