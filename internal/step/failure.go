package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/redact"
)

// fail prints err once, records it in the results, and returns the exit code.
func (p *program) fail(ctx context.Context, err error, s source) int {
	code, f := ExitCode(ctx, err), fault.Of(err)
	if code == exitInterrupted || code == exitTerminated {
		f.Reason = "Stopped"
	}
	message := redact.Text(f.Error())
	Explain(p.stderr, p.layout.contract.Name, f)
	if f.Kind != fault.KindUsage {
		fmt.Fprintf(p.stderr, "  reproduce:  %s\n", p.reproduce(s))
	}
	if err := writeResults(p.results(f.Reason, oneLine(message)), p.env, p.stdout); err != nil {
		fmt.Fprintf(p.stderr, "%s: %s\n", p.layout.contract.Name, redact.Text(err.Error()))
		// At least the reason must reach whoever looks at the run.
		_ = writeResults(p.bare(f.Reason, oneLine(message)), p.env, p.stdout)
	}
	return code
}

// Explain prints a failure for people: what was tried on what and why it
// failed, its class, and what to do.
func Explain(w io.Writer, program string, f fault.Error) {
	fmt.Fprintf(w, "%s: %s\n", program, redact.Text(f.Error()))
	fmt.Fprintf(w, "  reason:     %s\n", f.Reason)
	if f.Hint != "" {
		fmt.Fprintf(w, "  what to do: %s\n", redact.Text(f.Hint))
	}
}

// bare are the failure results, with every other one empty.
func (p *program) bare(reason, message string) []result {
	results := p.results(reason, message)
	for i := range results[:len(results)-2] {
		results[i].value = ""
	}
	return results
}

// ExitCode is what a program ends with: 128 + the number of the signal that
// ended ctx, or what the fault says.
func ExitCode(ctx context.Context, err error) int {
	var s *stopped
	if errors.As(context.Cause(ctx), &s) {
		if s.signal == os.Interrupt {
			return exitInterrupted
		}
		return exitTerminated
	}
	return int(fault.Of(err).Kind)
}

// reproduce is a command line that does the same on another machine. Paths of
// workspaces are shown as they are: the reader puts their own there.
func (p *program) reproduce(s source) string {
	words := []string{p.layout.contract.Name}
	for _, in := range p.layout.inputs {
		value, said := s.given(in)
		if !said || value == in.fallback || in.env == credentialsEnv {
			continue
		}
		value = redact.Text(value)
		if in.kind != "list" {
			words = append(words, shellWord("--"+in.flag+"="+value))
			continue
		}
		for _, item := range lines(value) {
			words = append(words, shellWord("--"+in.flag+"="+item))
		}
	}
	return strings.Join(words, " ")
}

// shellWord quotes a word for a POSIX shell where it needs that.
func shellWord(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./:@%+,"
	if strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
