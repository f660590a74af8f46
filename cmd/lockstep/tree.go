package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// tree draws tasks with their steps in place, over what it drew before.
type tree struct {
	w     io.Writer
	width func() int
	drawn int // lines that are on the terminal
}

// Marks and colours of states; colours are those of the terminal's theme.
var marks = map[state]string{
	pending:   "\x1b[2m·\x1b[0m",
	running:   "\x1b[33m●\x1b[0m",
	succeeded: "\x1b[32m✓\x1b[0m",
	failed:    "\x1b[31m✗\x1b[0m",
	skipped:   "\x1b[2m∅\x1b[0m",
}

// show draws everything; last leaves out what only a run under way has.
func (t *tree) show(tasks []*taskLine, last bool) {
	var lines []string
	width := t.width()
	for _, task := range tasks {
		lines = append(lines, row(width, "", task.state, task.name, elapsed(task.state, task.started, task.took), note(task)))
		for _, st := range task.steps {
			hint := strings.TrimSpace(remark(st))
			if st.state == running && !last {
				hint = lastLine(st.log)
			}
			lines = append(lines, row(width, "  ", st.state, st.name, elapsed(st.state, st.started, st.took), hint))
		}
	}
	var b strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", t.drawn) // up to the first line
	}
	for _, line := range lines {
		b.WriteString("\x1b[2K" + line + "\n") // clear, then write
	}
	t.drawn = len(lines)
	_, _ = io.WriteString(t.w, b.String())
}

func note(t *taskLine) string {
	if t.state == failed || t.state == skipped {
		return t.reason
	}
	return ""
}

func elapsed(s state, started time.Time, took time.Duration) string {
	switch s {
	case running:
		return seconds(time.Since(started))
	case succeeded, failed:
		return seconds(took)
	}
	return ""
}

// row is one line, cut to the terminal's width: a line that wraps could not be
// drawn over.
func row(width int, indent string, s state, name, took, hint string) string {
	text := fmt.Sprintf("%s%-26s %8s", indent, name, took)
	left := width - utf8.RuneCountInString(text) - 6
	if hint != "" && left > 8 {
		if r := []rune(hint); len(r) > left {
			hint = string(r[:left-1]) + "…"
		}
		hint = "  \x1b[2m" + hint + "\x1b[0m"
	} else {
		hint = ""
	}
	return "  " + indent + marks[s] + " " + strings.TrimPrefix(text, indent) + hint
}

// tailBytes is how much of a log is read for its last line.
const tailBytes = 4 << 10

// lastLine is what a step printed last, without control characters.
func lastLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return ""
	}
	trimmed := strings.TrimRight(string(text), "\n")
	line := trimmed[strings.LastIndexByte(trimmed, '\n')+1:]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line)
}
