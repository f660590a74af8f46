package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/lockstep-cd/lockstep/internal/runner"
)

// screen shows a run: a tree that is drawn anew ten times a second on a
// terminal, and a line for whatever happened elsewhere.
type screen struct {
	w     io.Writer
	name  string
	logs  bool
	begun time.Time
	tree  *tree // nil: no terminal

	mu    sync.Mutex
	tasks []*taskLine
	stop  chan struct{}
	gone  chan struct{}
}

type taskLine struct {
	name    string
	started time.Time
	took    time.Duration
	state   state
	reason  string
	message string
	steps   []*stepLine
}

type stepLine struct {
	name, log string
	started   time.Time
	took      time.Duration
	state     state
	reason    string
}

type state int

const (
	pending state = iota
	running
	succeeded
	failed
	skipped
)

func newScreen(w io.Writer, name string, logs bool) *screen {
	s := &screen{w: w, name: name, logs: logs, begun: time.Now(), stop: make(chan struct{}), gone: make(chan struct{})}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !logs { //nolint:gosec // a file descriptor is small
		s.tree = &tree{w: w, width: func() int {
			if width, _, err := term.GetSize(int(f.Fd())); err == nil { //nolint:gosec // a file descriptor is small
				return width
			}
			return 80
		}}
		go s.draw()
	} else {
		close(s.gone)
	}
	return s
}

func (s *screen) draw() {
	defer close(s.gone)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			s.redraw(true)
			return
		case <-ticker.C:
			s.redraw(false)
		}
	}
}

func (s *screen) redraw(last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tasks) > 0 {
		s.tree.show(s.tasks, last)
	}
}

// close ends the drawing; what was drawn last stays.
func (s *screen) close() {
	close(s.stop)
	<-s.gone
}

// hear takes an event of the run.
func (s *screen) hear(e runner.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.name != "" {
		fmt.Fprintf(s.w, "run %s\n", s.name)
		s.name = ""
	}
	switch e.Kind {
	case runner.RunStarted:
		for _, name := range e.Tasks {
			s.task(name)
		}
	case runner.TaskStarted:
		t := s.task(e.Task)
		if t.state == running { // one more of a matrix
			return
		}
		t.state, t.started = running, e.Time
	case runner.StepStarted:
		t := s.task(e.Task)
		t.steps = append(t.steps, &stepLine{name: e.Step, log: e.Log, started: e.Time, state: running})
	case runner.StepEnded:
		s.endStep(e)
	case runner.TaskRetried:
		s.line("%s failed and is tried again: %s", e.Task, e.Message)
	case runner.TaskEnded:
		t := s.task(e.Task)
		t.state, t.took, t.reason = ends(e.Well), e.Time.Sub(t.started), e.Reason
		if !e.Well {
			t.message = e.Message
		}
		s.line("%-24s %s  %s", e.Task, seconds(t.took), e.Reason)
	case runner.TaskSkipped:
		t := s.task(e.Task)
		t.state, t.reason = skipped, e.Reason
		s.line("%-24s skipped: %s", e.Task, e.Reason)
	}
}

func (s *screen) endStep(e runner.Event) {
	t := s.task(e.Task)
	for _, st := range t.steps {
		if st.log == e.Log && st.state == running {
			st.state, st.took, st.reason = ends(e.Well || e.Reason == "Skipped"), e.Time.Sub(st.started), e.Reason
			s.line("%-24s %-20s %s%s", e.Task, e.Step, seconds(st.took), remark(st))
			if !e.Well && e.Message != "" {
				s.line("%-24s %-20s %s", "", "", e.Message)
			}
		}
	}
	if s.logs {
		copyLog(s.w, fmt.Sprintf("[%s : %s] ", e.Task, e.Step), e.Log, 0)
	}
}

func ends(well bool) state {
	if well {
		return succeeded
	}
	return failed
}

func remark(st *stepLine) string {
	switch {
	case st.reason != "":
		return "  " + st.reason
	case st.state == failed:
		return "  failed"
	}
	return ""
}

func (s *screen) task(name string) *taskLine {
	for _, t := range s.tasks {
		if t.name == name {
			return t
		}
	}
	t := &taskLine{name: name}
	s.tasks = append(s.tasks, t)
	return t
}

// line is for those without a tree.
func (s *screen) line(format string, args ...any) {
	if s.tree == nil {
		fmt.Fprintf(s.w, "  %6s  %s\n", seconds(time.Since(s.begun)), fmt.Sprintf(format, args...))
	}
}

// failureLines is how much of a failed step's log is shown by itself.
const failureLines = 25

// summary says how the run ended, and why where it failed.
func (s *screen) summary(r runner.Record) {
	for _, t := range s.tasks {
		if t.state != failed {
			continue
		}
		fmt.Fprintf(s.w, "\n%s failed: %s\n", t.name, t.message)
		for _, st := range t.steps {
			if st.state == failed && !s.logs {
				copyLog(s.w, "  | ", st.log, failureLines)
			}
		}
	}
	fmt.Fprintf(s.w, "%s %s in %s", r.Name, strings.ToLower(r.State), seconds(r.Finished.Sub(r.Started)))
	if r.State != runner.StateSucceeded {
		fmt.Fprintf(s.w, ": %s: %s\n  what to do: lockstep runs logs %s", r.Reason, r.Message, r.Name)
	}
	fmt.Fprintln(s.w)
}

// copyLog prints the last lines of a log, or all of it for 0.
func copyLog(w io.Writer, prefix, path string, last int) {
	text, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintf(w, "%s(%v)\n", prefix, err)
		return
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if last > 0 && len(lines) > last {
		fmt.Fprintf(w, "%s… %d lines before\n", prefix, len(lines)-last)
		lines = lines[len(lines)-last:]
	}
	for _, line := range lines {
		fmt.Fprintf(w, "%s%s\n", prefix, line)
	}
}

// seconds is a duration for people: 0.2s, 12.3s, 3m 4s.
func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
}
