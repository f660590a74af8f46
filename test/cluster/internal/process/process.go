// Package process starts servers that outlive the program that started them, finds them again, and stops exactly
// those. A process is known by its id together with the moment it started: an id alone may have been given to
// somebody else's process since.
package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Spec is a server to start.
type Spec struct {
	Name string   // names its record and its log
	Path string   // of the program
	Args []string // without the program's name
	Dir  string
	Env  []string            // the whole environment; nothing is inherited
	User *syscall.Credential // nil: the caller's
	// Files are those that the server reads only when it starts: when one changes, it is started again.
	Files []string
}

// Table is a set of servers whose records are in Run and whose logs are in Logs.
type Table struct {
	Run  string
	Logs string
}

// record is what remains of a start: enough to recognise the process and to see whether it runs what is wanted now.
type record struct {
	PID     int    `json:"pid"`
	Started string `json:"started"` // see startOf
	Command string `json:"command"` // digest of the Spec
}

// ErrDied is part of the error when a server ended while somebody waited for it.
var ErrDied = errors.New("it ended by itself")

// PID returns the id of a server that runs, or 0.
func (t Table) PID(name string) int {
	r, err := t.read(name)
	if err != nil || !r.alive() {
		return 0
	}
	return r.PID
}

// Ensure starts the server unless it runs already with the same command. One that runs with another command is
// stopped first. It reports whether it started anything.
func (t Table) Ensure(ctx context.Context, s Spec) (bool, error) {
	if r, err := t.read(s.Name); err == nil && r.alive() {
		if r.Command == s.digest() {
			return false, nil
		}
		if err := t.Stop(ctx, s.Name); err != nil {
			return false, err
		}
	}
	return true, t.start(s)
}

func (t Table) start(s Spec) error {
	log, err := t.openLog(s.Name)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.Dir, s.Env, log, log
	// A session of its own: neither Ctrl-C nor a closed terminal reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.User}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	started, err := startOf(cmd.Process.Pid)
	// Collects the process if it ends while we are here; afterwards the system's first process does.
	go func() { _ = cmd.Wait() }()
	if err != nil {
		return fmt.Errorf("start %s: %w\n%s", s.Name, ErrDied, t.Tail(s.Name))
	}
	return t.write(s.Name, record{PID: cmd.Process.Pid, Started: started, Command: s.digest()})
}

// openLog begins a new log and keeps the one before it under the ending .1.
func (t Table) openLog(name string) (*os.File, error) {
	if err := os.MkdirAll(t.Logs, 0o755); err != nil {
		return nil, err
	}
	path := t.LogPath(name)
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// Names returns the names of all servers that have a record, running or not.
func (t Table) Names() []string {
	files, _ := filepath.Glob(filepath.Join(t.Run, "*.json"))
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(filepath.Base(f), ".json")
	}
	return names
}

// LogPath returns where a server's output goes.
func (t Table) LogPath(name string) string { return filepath.Join(t.Logs, name+".log") }

func (t Table) recordPath(name string) string { return filepath.Join(t.Run, name+".json") }

func (t Table) read(name string) (record, error) {
	var r record
	text, err := os.ReadFile(t.recordPath(name))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

func (t Table) write(name string, r record) error {
	if err := os.MkdirAll(t.Run, 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temporary := t.recordPath(name) + ".new"
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, t.recordPath(name))
}

func (r record) alive() bool {
	started, err := startOf(r.PID)
	return err == nil && started == r.Started
}

func (s Spec) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q", s.Path, s.Args, s.Dir, s.Env)
	for _, file := range s.Files {
		text, err := os.ReadFile(file)
		fmt.Fprintf(h, "%q %v", text, err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Await calls ready until it returns nil. It gives up when the deadline passes or one of the named servers has
// ended, and then shows the end of that server's log.
func (t Table) Await(ctx context.Context, limit time.Duration, what string, ready func(context.Context) error, servers ...string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		for _, name := range servers {
			if t.PID(name) == 0 {
				return fmt.Errorf("wait for %s: %s: %w\n%s", what, name, ErrDied, t.Tail(name))
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s (up to %s): %w%s", what, limit, err, t.tails(servers))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (t Table) tails(servers []string) string {
	var all strings.Builder
	for _, name := range servers {
		all.WriteString("\n" + t.Tail(name))
	}
	return all.String()
}
