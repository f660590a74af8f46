package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"sync"
)

// Local is a repository on this machine, served by the git program.
type Local struct {
	Path string
}

// ErrNoGit: a path as a remote needs the git program.
var ErrNoGit = errors.New("a repository on this machine is read with the git program, which is not installed")

// ErrNoFolder: nothing is at the path.
var ErrNoFolder = errors.New("there is nothing at this path")

// Open starts the service as a child process.
func (l *Local) Open(ctx context.Context, service string, version int) (Session, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, ErrNoGit
	}
	if _, err := os.Stat(l.Path); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoFolder
	}
	ctx, cancel := context.WithCancel(ctx)
	// "git upload-pack", not "git-upload-pack": the latter is often not in PATH.
	cmd := exec.CommandContext(ctx, program, service[len("git-"):], "--", l.Path)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GIT_PROTOCOL=version=%d", version), "GIT_TERMINAL_PROMPT=0")
	words := &Words{}
	cmd.Stderr = words
	in, err := cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", service, err)
	}
	// A command may be waited for only once, and both Close and the end of the
	// context stop it.
	stop := sync.OnceValue(func() error {
		cancel()
		cmd.Wait() // ends with an error when it was stopped; what matters was read
		return nil
	})
	return &stream{in: in, out: out, words: words, stop: stop}, nil
}

// Resume is not for processes: each one greets.
func (l *Local) Resume(context.Context, string, int) Session { return nil }

// stream is a conversation over one pair of pipes: a child process or SSH.
type stream struct {
	in    io.WriteCloser
	out   io.Reader
	words *Words // its standard error
	stop  func() error
}

func (s *stream) Greeting() io.Reader { return &explained{s.out, s.words} }

func (s *stream) Exchange(ctx context.Context, request []byte) (io.ReadCloser, error) {
	stop := context.AfterFunc(ctx, func() { s.stop() })
	if _, err := io.Copy(s.in, bytes.NewReader(request)); err != nil {
		stop()
		return nil, fmt.Errorf("send: %w", err)
	}
	return &readCloser{&explained{s.out, s.words}, closeFunc(func() error { stop(); return nil })}, nil
}

func (s *stream) Close() error {
	s.in.Close()
	return s.stop()
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }

// explained turns an early end of the stream into what the other side printed
// on its standard error, where it printed something.
type explained struct {
	r     io.Reader
	words *Words
}

func (e *explained) Read(b []byte) (int, error) {
	n, err := e.r.Read(b)
	if n == 0 && errors.Is(err, io.EOF) {
		if text := e.words.String(); text != "" {
			return 0, &RemoteError{Message: text}
		}
	}
	return n, err
}
