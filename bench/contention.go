package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// rush is one run of B2: all writers started at once.
type rush struct {
	Wall     time.Duration // first process started → last one ended
	Pushes   int64         // pushes that arrived, won or lost
	Requests int64
	Down     int64
	Updates  int64 // of the branch
}

type contentionSeries struct {
	Contender contender
	Writers   int
	Killed    bool
	Rushes    []rush
	Wrong     int
}

// writer is one of many: which application it promotes, and to what.
type writer struct{ App, Version string }

// writersOf gives each its own application, but every tenth that of the first.
// Versions rise, so that the one which must win is known.
func writersOf(n int) []writer {
	all := make([]writer, n)
	for i := range all {
		app := application(i)
		if n >= 10 && i%10 == 9 {
			app = application(0)
		}
		all[i] = writer{app, fmt.Sprintf("2.0.%d", i)}
	}
	return all
}

// rushes measures B2 with n writers, the contenders in turn.
func (l *lab) rushes(ctx context.Context, f fixture, contenders []contender, n, runs int, killed bool) ([]contentionSeries, error) {
	result := make([]contentionSeries, len(contenders))
	for range runs {
		for at, c := range contenders {
			result[at].Contender, result[at].Writers, result[at].Killed = c, n, killed
			measured, err := l.rush(ctx, f, c, writersOf(n), killed)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				result[at].Wrong++
				slog.Warn("does not count", "contender", c.Name, "writers", n, "error", brief(err))
				continue
			}
			result[at].Rushes = append(result[at].Rushes, measured)
			slog.Info("B2", "contender", c.Name, "writers", n, "took", measured.Wall.Round(time.Millisecond))
		}
	}
	return result, nil
}

func (l *lab) rush(ctx context.Context, f fixture, c contender, writers []writer, killed bool) (rush, error) {
	highest := map[string]string{}
	for _, w := range writers {
		highest[w.App] = w.Version
	}
	want, err := l.treeAfter(ctx, f, highest)
	if err != nil {
		return rush{}, err
	}
	p, err := l.newPlace(f)
	if err != nil {
		return rush{}, err
	}
	defer l.clear(p)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	before, pushes := l.passed(), l.host.pushes.Load()
	wall, err := l.all(ctx, p, c, writers, killed)
	if err != nil {
		return rush{}, err
	}
	after := l.passed()
	measured := rush{
		Wall: wall, Pushes: l.host.pushes.Load() - pushes,
		Requests: after.Requests - before.Requests, Down: after.Down - before.Down,
	}
	if c.Aside {
		return measured, checkAside(ctx, p.repository, f.Tip, len(writers))
	}
	if measured.Updates, err = updatesOf(p.repository); err != nil {
		return rush{}, err
	}
	if err := acknowledged(ctx, p); err != nil {
		return rush{}, err
	}
	return measured, checkMany(ctx, p.repository, f.Tip, want)
}

// all starts every writer as a process of its own, in namespaces of its own
// where that is allowed, and waits for the last. With killed, every tenth is
// killed at a random moment and started again.
func (l *lab) all(ctx context.Context, p place, c contender, writers []writer, killed bool) (time.Duration, error) {
	type prepared struct {
		dir string
		env []string
	}
	ready := make([]prepared, len(writers))
	for i, w := range writers {
		dir, env, err := l.folder(p, strconv.Itoa(i))
		if err != nil {
			return 0, err
		}
		ready[i] = prepared{dir, append(env, "APP="+w.App, "VERSION="+w.Version)}
	}
	random := rand.New(rand.NewPCG(2, uint64(len(writers))))
	problems := make([]error, len(writers))
	start := time.Now()
	var running sync.WaitGroup
	for i := range writers {
		after := time.Duration(0)
		if killed && i%10 == 3 {
			after = time.Duration(100+random.IntN(2_000)) * time.Millisecond
		}
		running.Go(func() { problems[i] = runWriter(ctx, c.Script, ready[i].dir, ready[i].env, after) })
	}
	running.Wait()
	return time.Since(start), errors.Join(problems...)
}

// runWriter runs a script to its end; with kill, it is killed then, if it is
// still there, and started again.
func runWriter(ctx context.Context, script, dir string, env []string, kill time.Duration) error {
	if kill > 0 {
		life, cancel := context.WithTimeout(ctx, kill)
		err := runScript(life, script, dir, env)
		cut := life.Err() != nil
		cancel()
		if !cut {
			return err
		}
	}
	return runScript(ctx, script, dir, env)
}

func runScript(ctx context.Context, script, dir string, env []string) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir, cmd.Env = dir, env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, lastLines(out.String(), 5))
	}
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// updatesOf counts how often the branch moved, from the host's own log.
func updatesOf(repository string) (int64, error) {
	log, err := os.ReadFile(filepath.Join(repository, "logs", "refs", "heads", "main"))
	return int64(bytes.Count(log, []byte("\n"))), err
}

var commitOf = regexp.MustCompile(`"commit":"([0-9a-f]{12})"`)

// acknowledged wants every commit that a writer was told of in the branch's
// history.
func acknowledged(ctx context.Context, p place) error {
	told, err := filepath.Glob(filepath.Join(p.dir, "*", "work", "outcomes"))
	if err != nil {
		return err
	}
	list, err := git(ctx, p.repository, "rev-list", "main")
	if err != nil {
		return err
	}
	for _, file := range told {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		commit := commitOf.FindSubmatch(text)
		if commit == nil {
			return fmt.Errorf("a writer that ended well was told no commit: %q", text)
		}
		if !strings.Contains("\n"+list, "\n"+string(commit[1])) {
			return fmt.Errorf("a writer was told of %s, which is not in the history", commit[1])
		}
	}
	return nil
}

// checkMany wants a linear history from tip that ends with the tree want: each
// application at the highest version that somebody promoted.
func checkMany(ctx context.Context, repository, tip, want string) error {
	tree, err := git(ctx, repository, "rev-parse", "main^{tree}")
	if err != nil {
		return err
	}
	if tree != want {
		return fmt.Errorf("the branch ends with tree %s, want %s: a promotion is lost", tree, want)
	}
	parents, err := git(ctx, repository, "log", "--format=%P", tip+"..main")
	if err != nil {
		return err
	}
	lines := strings.Split(parents, "\n")
	for _, line := range lines {
		if strings.Contains(line, " ") {
			return fmt.Errorf("the history has a merge of %s", line)
		}
	}
	if last := lines[len(lines)-1]; last != tip {
		return fmt.Errorf("the history starts from %s, not from %s", last, tip)
	}
	return nil
}

// checkAside wants the branch at tip and a ref of each writer beside it.
func checkAside(ctx context.Context, repository, tip string, writers int) error {
	refs, err := git(ctx, repository, "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil {
		return err
	}
	lines := strings.Split(refs, "\n")
	if len(lines) != writers+1 || lines[0] != tip+" refs/heads/main" {
		return fmt.Errorf("%d refs, want %d beside main at %s: %s", len(lines), writers, tip, lines[0])
	}
	return nil
}
