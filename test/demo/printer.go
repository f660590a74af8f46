package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/lockstep-cd/lockstep/test/site"
)

// printer prints what happens, with the time since its chapter began: with
// colours and a line that moves on a terminal, plain lines elsewhere.
type printer struct {
	out           io.Writer
	bold, red, no string
	terminal      bool

	mu             sync.Mutex
	begun, chapter time.Time
	underWay       string // what the moving line says
}

func newPrinter(out io.Writer) *printer {
	p := &printer{out: out, begun: time.Now(), chapter: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		p.terminal = true
		if os.Getenv("NO_COLOR") == "" {
			p.bold, p.red, p.no = "\x1b[1m", "\x1b[31m", "\x1b[0m"
		}
	}
	return p
}

// move draws the moving line until stop is called.
func (p *printer) move() (stop func()) {
	if !p.terminal {
		return func() {}
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ended:
				p.print("")
				return
			case <-tick.C:
				p.draw(i)
			}
		}
	}()
	return func() { close(ended); <-done }
}

const clearLine = "\r\x1b[K"

func (p *printer) draw(frame int) {
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%s  %5.1f s  %c %.60s", clearLine, time.Since(p.chapter).Seconds(), frames[frame%len(frames)], p.underWay)
}

// print writes text in the place of the moving line.
func (p *printer) print(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		text = clearLine + text
	}
	fmt.Fprint(p.out, text)
}

func (p *printer) begin(title string) {
	p.mu.Lock()
	p.chapter, p.underWay = time.Now(), ""
	p.mu.Unlock()
	p.print(fmt.Sprintf("\n%s%s%s\n", p.bold, title, p.no))
}

// took is the time since the chapter began.
func (p *printer) took() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.chapter)
}

func (p *printer) tell(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.print(fmt.Sprintf("  %5.1f s  %s\n", p.took().Seconds(), text))
	p.set(text)
}

func (p *printer) set(underWay string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underWay = underWay
}

func (p *printer) step(s site.Step) {
	if !s.Ended {
		p.set(s.Task + " " + s.Name)
		return
	}
	state := ""
	if !s.Well {
		state = p.red + "  FAILED" + p.no
	}
	p.tell("%-20s %-16s %5.1f s%s", s.Task, s.Name, s.Took.Seconds(), state)
}

// total says what each chapter took.
func (p *printer) total(chapters []chapter) {
	text := fmt.Sprintf("\n%sAll chapters took %.0f s:%s", p.bold, time.Since(p.begun).Seconds(), p.no)
	for i, c := range chapters {
		text += fmt.Sprintf(" %d. %.0f s", i+1, c.took.Seconds())
	}
	p.print(text + "\n")
}
