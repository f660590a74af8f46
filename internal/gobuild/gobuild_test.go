package gobuild_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/gobuild"
)

// module is a folder with a program of two packages; nothing of it was compiled
// before, since its text is another each time.
func module(t *testing.T, body string) string {
	t.Helper()
	dir := t.TempDir()
	mark := "// " + dir + "\n"
	for name, text := range map[string]string{
		"go.mod":       "module example.com/greeter\n\ngo 1.26\n",
		"main.go":      mark + "package main\n\nimport \"example.com/greeter/said\"\n\nfunc main() { println(said.Words) }\n",
		"said/said.go": mark + "package said\n\n" + body + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// lines collects what is said.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) say(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

func TestBuildSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	var said lines
	dir := module(t, `const Words = "hello"`)
	build := gobuild.Build{Dir: dir, Out: filepath.Join(dir, "out") + "/", Say: said.say, Every: time.Millisecond}
	if err := build.Run(t.Context(), "example.com/greeter"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(dir, "out", "greeter")).CombinedOutput()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("the program says %q, %v", out, err)
	}
	all := strings.Join(said.all, "\n")
	for _, want := range []string{
		`(?m)^building greeter: downloading and reading what it is made of, \d+s so far$`,
		`(?m)^building greeter: compiled \d+ of at most \d+ packages, \d+s so far \(all of them take \d+s on two quiet cores`,
	} {
		if !regexp.MustCompile(want).MatchString(all) {
			t.Errorf("nothing fits %s in\n%s", want, all)
		}
	}
}

func TestBuildThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	dir := module(t, `const Words = nothing`)
	err := gobuild.Build{Dir: dir, Out: filepath.Join(dir, "greeter")}.Run(t.Context(), ".")
	if err == nil || !strings.Contains(err.Error(), "said.go:4:15: undefined: nothing") || !strings.Contains(err.Error(), "build . in "+dir) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "greeter")); err == nil {
		t.Error("there is a program")
	}
}

func TestBuildEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (gobuild.Build{Dir: module(t, `const Words = ""`), Out: t.TempDir() + "/"}).Run(ctx, "."); err == nil {
		t.Error("it was built")
	}
}
