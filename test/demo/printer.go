package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// printer prints what happens, with the time since its chapter began: colours
// on a terminal, plain lines elsewhere.
type printer struct {
	out           io.Writer
	begun         time.Time
	chapter       time.Time
	bold, red, no string
}

func newPrinter(out io.Writer) *printer {
	p := &printer{out: out, begun: time.Now(), chapter: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" {
		p.bold, p.red, p.no = "\x1b[1m", "\x1b[31m", "\x1b[0m"
	}
	return p
}

func (p *printer) begin(title string) {
	p.chapter = time.Now()
	fmt.Fprintf(p.out, "\n%s%s%s\n", p.bold, title, p.no)
}

func (p *printer) tell(format string, args ...any) {
	fmt.Fprintf(p.out, "  %5.1f s  %s\n", time.Since(p.chapter).Seconds(), fmt.Sprintf(format, args...))
}

func (p *printer) step(task, step string, took time.Duration, well bool) {
	state := ""
	if !well {
		state = p.red + "  FAILED" + p.no
	}
	p.tell("%-20s %-16s %5.1f s%s", task, step, took.Seconds(), state)
}

// total is the table of what each chapter took.
func (p *printer) total(chapters []chapter) {
	fmt.Fprintf(p.out, "\n%sAll chapters took %.0f s:%s", p.bold, time.Since(p.begun).Seconds(), p.no)
	for i, c := range chapters {
		fmt.Fprintf(p.out, " %d. %.0f s", i+1, c.took.Seconds())
	}
	fmt.Fprintln(p.out)
}
