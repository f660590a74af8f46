package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// Background is a program that calls Serve for the folder Dir and is to outlive
// the one that starts it.
type Background struct {
	Dir     string        // the folder given to Open
	Program string        // "": the caller's own executable
	Args    []string      // without the program's name
	Env     []string      // nil: the caller's environment
	Address string        // where it will listen, to find early that the port is taken; "": not looked at
	Wait    time.Duration // until it must answer; 0: 30 seconds
}

// Start makes sure that the server of a folder runs, and returns when it
// answers. One that runs already is left as it is. A program that ends instead
// of answering is an error with the end of its log.
func Start(ctx context.Context, b Background) (*Instance, error) {
	if b.Wait == 0 {
		b.Wait = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, b.Wait)
	defer cancel()
	unlock, err := b.alone(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	i, err := b.already(ctx)
	if !errors.Is(err, errNotRunning) {
		return i, err
	}
	if b.Address != "" {
		l, err := Listen(b.Address)
		if err != nil {
			return nil, err
		}
		l.Close()
	}
	cmd, err := b.launch()
	if err != nil {
		return nil, explain(err, "start the servers")
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	i, err = awaitHealthy(ctx, b.Dir, ended)
	if err == nil {
		return i, nil
	}
	return nil, errors.Join(b.late(err), end(context.WithoutCancel(ctx), cmd.Process.Pid, stopPatience, func() bool { return len(ended) > 0 }))
}

// alone waits until no other Start is at work on this folder: the second of two
// finds what the first has started.
func (b Background) alone(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return nil, explain(err, "start the servers")
	}
	for {
		unlock, err := lockFile(filepath.Join(b.Dir, "start.lock"))
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) {
			return unlock, err
		}
		if retry.Sleep(ctx, interval) != nil {
			return nil, fmt.Errorf("wait for another start of the servers in %s: %w", b.Dir, ctx.Err())
		}
	}
}

// errNotRunning is returned where no server of the folder runs, or where it
// ended while somebody waited for its answer.
var errNotRunning = errors.New("no server runs")

// already waits for the answer of a server that runs.
func (b Background) already(ctx context.Context) (*Instance, error) {
	ended := make(chan error, 1)
	ended <- errNotRunning
	i, err := awaitHealthy(ctx, b.Dir, ended)
	if errors.Is(err, errNotRunning) {
		return nil, err
	}
	if err != nil {
		return nil, b.late(err)
	}
	i.Already = true
	return i, nil
}

func (b Background) late(err error) error {
	return fault.Retryable("ServersNotUp", fmt.Errorf("start the servers: %w\n%s", err, tail(logFile(b.Dir))), "The whole log is "+logFile(b.Dir)+".")
}

// launch starts the program in a session of its own: neither Ctrl-C nor a
// closed terminal reaches it.
func (b Background) launch() (*exec.Cmd, error) {
	program := b.Program
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	if err := os.Rename(logFile(b.Dir), logFile(b.Dir)+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	log, err := os.OpenFile(logFile(b.Dir), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// The program's own words would be lost on a full disk.
	if _, err := fmt.Fprintln(log, "starting", program); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, b.Args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = b.Env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, cmd.Start()
}

// awaitHealthy waits until the server of a folder answers. It gives up when the
// program has ended and no server of the folder runs.
func awaitHealthy(ctx context.Context, dir string, ended chan error) (*Instance, error) {
	for {
		i, err := Running(dir)
		if err != nil {
			return nil, err
		}
		if i != nil && i.healthy(ctx) {
			return i, nil
		}
		select {
		case result := <-ended:
			ended <- result
			if i == nil {
				return nil, fmt.Errorf("the program ended: %w", cmp.Or(result, errEnded))
			}
		default:
		}
		if retry.Sleep(ctx, interval) != nil {
			return nil, fmt.Errorf("wait until the servers answer: %w", ctx.Err())
		}
	}
}

// errEnded stands for an end without an error.
var errEnded = errors.New("exit status 0")

// tail is the end of a log.
func tail(path string) string {
	text, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
