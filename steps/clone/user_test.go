package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// stranger is a user without an entry in passwd, as platforms assign them.
const stranger = 51234

// runAsStranger runs this program without HOME and, where this test may
// change users, as another one.
func runAsStranger(t *testing.T, program string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Args[0] = "clone"
	cmd.Env = []string{"TMPDIR=" + os.TempDir()}
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// openTo makes a folder that another user may enter, with a copy of this
// program in it.
func openTo(t *testing.T) (dir, program string) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	self, err := os.Executable()
	must(t, err)
	from, err := os.Open(self)
	must(t, err)
	defer from.Close()
	program = filepath.Join(dir, "program")
	to, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(to, from)
	must(t, err)
	must(t, to.Close())
	return dir, program
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRow44_AnyUserWithoutHomeOnAVolume(t *testing.T) {
	repo := gittest.NewServer(t).Create("app", gittest.Files{"README.md": "hello\n"})
	dir, program := openTo(t)

	volume := filepath.Join(dir, "volume")
	must(t, os.MkdirAll(filepath.Join(volume, "lost+found"), 0o700))
	must(t, os.Chmod(volume, 0o777))
	for range 2 {
		out, code := runAsStranger(t, program, "--url="+repo.URL, "--output="+volume)
		if code != 0 {
			t.Fatalf("exit %d:\n%s", code, out)
		}
		if _, err := os.Stat(filepath.Join(volume, "lost+found")); err != nil {
			t.Fatal("lost+found belongs to the volume")
		}
	}
}

func TestRow44_AVolumeOfAnotherUser(t *testing.T) {
	repo := gittest.NewServer(t).Create("app", gittest.Files{"README.md": "hello\n"})
	dir, program := openTo(t)
	volume := filepath.Join(dir, "volume")
	must(t, os.Mkdir(volume, 0o555))
	t.Cleanup(func() { os.Chmod(volume, 0o755) })
	for _, args := range [][]string{{"--output=" + volume}, {"--output=" + volume, "--subdirectory=a/b"}} {
		out, code := runAsStranger(t, program, append(args, "--url="+repo.URL)...)
		if code != 2 || !strings.Contains(out, "fsGroup") || !strings.Contains(out, volume) {
			t.Errorf("%v: exit %d:\n%s", args, code, out)
		}
	}
	list, err := os.ReadDir(volume)
	must(t, err)
	if len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
}

// TestRow63_ReadOnlyLeftovers: caches of modules make their folders read-only.
func TestRow63_ReadOnlyLeftovers(t *testing.T) {
	repo := gittest.NewServer(t).Create("app", gittest.Files{"README.md": "hello\n", "folder": "a file\n"})
	dir, program := openTo(t)
	volume := filepath.Join(dir, "volume")
	must(t, os.Mkdir(volume, 0o777))
	for _, args := range [][]string{{}, {"--deleteExisting=false"}} {
		cache := filepath.Join(volume, "folder", "module")
		must(t, os.RemoveAll(filepath.Join(volume, "folder")))
		must(t, os.MkdirAll(cache, 0o777))
		must(t, os.WriteFile(filepath.Join(cache, "go.mod"), nil, 0o444))
		for _, at := range []string{volume, filepath.Dir(cache), cache, filepath.Join(cache, "go.mod")} {
			if os.Geteuid() == 0 {
				must(t, os.Chown(at, stranger, stranger))
			}
		}
		must(t, os.Chmod(cache, 0o555))
		must(t, os.Chmod(filepath.Dir(cache), 0o555))
		out, code := runAsStranger(t, program, append(args, "--url="+repo.URL, "--output="+volume)...)
		if code != 0 {
			t.Fatalf("%v: exit %d:\n%s", args, code, out)
		}
		if content, err := os.ReadFile(filepath.Join(volume, "folder")); err != nil || string(content) != "a file\n" {
			t.Fatalf("%v: %q %v", args, content, err)
		}
	}
}
