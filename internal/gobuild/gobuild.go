// Package gobuild builds programs with the go command and says how far it is:
// where nothing is compiled yet, that takes minutes.
package gobuild

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Build is a call of `go build`.
type Build struct {
	// Dir is a folder of the module that the packages are in or that requires them.
	Dir string
	// Out is the program, or with a slash at its end the folder of all of them.
	Out string
	// Say takes a line now and then: what is built, how much of it is done, and
	// how long that usually takes. Nothing is said of what takes a moment.
	Say func(line string)
	// Every is the time between two lines; 0: 10 s.
	Every time.Duration
}

// perPackage is what a package takes on two quiet cores: the 2,010 packages of
// the demo and lockstep were compiled in 169 s, on a busy machine in five times that.
const perPackage = 85 * time.Millisecond

// Run builds packages, and rebuilds only what changed. What go said is part of
// the error.
func (b Build) Run(ctx context.Context, packages ...string) error {
	told := &teller{build: b, what: strings.Join(names(packages), ", "), began: time.Now()}
	stop := told.start()
	defer stop()
	listed, err := b.command(ctx, append([]string{"list", "-deps"}, packages...)...).Output()
	if err == nil { // go build says what is wrong, in its own words
		told.expect(bytes.Count(listed, []byte("\n")))
	}
	cmd := b.command(ctx, append([]string{"build", "-v", "-trimpath", "-o", b.Out}, packages...)...)
	cmd.Stdout, cmd.Stderr = told, told
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", strings.Join(packages, " "), b.Dir, err, strings.TrimSpace(told.said.String()))
	}
	return nil
}

func (b Build) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = b.Dir, append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}

// names are the last words of import paths: what the programs are called.
func names(packages []string) []string {
	all := make([]string, len(packages))
	for i, p := range packages {
		all[i] = p[strings.LastIndexByte(p, '/')+1:]
	}
	return all
}

// teller reads what go says, and tells how far it is.
type teller struct {
	build Build
	what  string
	began time.Time

	mu               sync.Mutex
	rest             []byte // of a line that is not whole yet
	said             bytes.Buffer
	listed, compiled int
}

var _ io.Writer = (*teller)(nil)

func (t *teller) expect(packages int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listed = packages
}

// Write takes go's output: with -v a line per package that it compiles, a line
// per module that it downloads, and what is wrong.
func (t *teller) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest = append(t.rest, text...)
	for {
		line, rest, whole := bytes.Cut(t.rest, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		t.rest = rest
		switch {
		case bytes.HasPrefix(line, []byte("go: downloading ")):
		case len(line) > 0 && !bytes.ContainsAny(line, " \t#"):
			t.compiled++
		default:
			fmt.Fprintf(&t.said, "%s\n", line)
		}
	}
}

// start tells until stop is called.
func (t *teller) start() (stop func()) {
	if t.build.Say == nil {
		return func() {}
	}
	every := t.build.Every
	if every <= 0 {
		every = 10 * time.Second
	}
	var telling sync.WaitGroup
	ended := make(chan struct{})
	telling.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				t.build.Say(t.line())
			}
		}
	})
	return func() { close(ended); telling.Wait() }
}

func (t *teller) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	took := time.Since(t.began).Round(time.Second)
	switch {
	case t.compiled == 0:
		return fmt.Sprintf("building %s: downloading and reading what it is made of, %s so far", t.what, took)
	case t.listed == 0:
		return fmt.Sprintf("building %s: %d packages compiled, %s so far", t.what, t.compiled, took)
	}
	usual := time.Duration(t.listed) * perPackage
	return fmt.Sprintf("building %s: compiled %d of at most %d packages, %s so far (all of them take %s on two quiet cores, and up to five times that on busy ones)",
		t.what, t.compiled, t.listed, took, usual.Round(10*time.Second))
}
