// Package step is the door of every program: it reads the configuration once,
// whole and typed, runs the program under a context that ends with SIGINT or
// SIGTERM, writes the results, prints a failure once, and chooses the exit
// code. Nothing else in this module exits.
//
// One struct is the contract of a program. Its fields carry tags:
//
//	param:"name"       a parameter: PARAM_<NAME>, --name
//	workspace:"name"   a folder: WORKSPACE_<NAME>_PATH, --name
//	credentials:"path" Tekton's credentials folder: CREDENTIALS_PATH, --credentials-path
//	result:"name"      a result that the program sets: RESULT_<NAME>_PATH
//	properties:"uri,digest" of a result: it is a JSON object with these keys
//	default, required:"true", desc
//	checkout:"true" of a workspace: on a laptop the checkout that one stands in
//
// Parameters are of type string, bool, int, time.Duration or []string (one
// item per line in the environment, a repeatable flag on the command line).
package step

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/redact"
)

// Exit codes besides those of the fault kinds: 128 + the signal's number.
const (
	exitInterrupted = 130
	exitTerminated  = 143
)

// patience is how long a program may take to leave a good state after a signal:
// less than the 10 s that a caller grants, so that the results are still written.
const patience = 9 * time.Second

// Main runs a program and exits. C is its config struct.
func Main[C any](name, about string, run func(context.Context, *C) error) {
	p := program{
		layout: layoutOf(name, about, reflect.TypeFor[C]()),
		config: reflect.New(reflect.TypeFor[C]()),
		run:    func(ctx context.Context, config any) error { return run(ctx, config.(*C)) },
		args:   os.Args, env: os.LookupEnv, stdout: os.Stdout, stderr: os.Stderr, patience: patience,
	}
	os.Exit(p.main())
}

type program struct {
	layout layout
	config reflect.Value // *C
	run    func(context.Context, any) error

	args           []string
	env            func(string) (string, bool)
	stdout, stderr io.Writer

	patience  time.Duration // how long run may take to end after a signal
	abandoned bool          // run goes on behind a signal, and may write its results
}

// main returns the exit code.
func (p *program) main() int {
	ctx, stop := WithSignals(context.Background())
	defer stop()
	return p.command(ctx)
}

// perform runs the program with the values that s holds, and returns the exit code.
func (p *program) perform(ctx context.Context, s source) int {
	logger, err := newLogger(s.value(logFormat), p.stderr)
	if err != nil {
		return p.fail(ctx, p.invalid(err), s)
	}
	slog.SetDefault(logger)
	if err := p.layout.fill(ctx, p.config.Elem(), s); err != nil {
		return p.fail(ctx, p.invalid(err), s)
	}
	if err := p.runBounded(ctx); err != nil {
		return p.fail(ctx, err, s)
	}
	if err := writeResults(p.results("", ""), p.env, p.stdout); err != nil {
		return p.fail(ctx, fault.Retryable("ResultsNotWritten", err, ""), s)
	}
	return 0
}

// runBounded waits for the program, but after a signal no longer than patience.
func (p *program) runBounded(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, p.config.Interface()) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(p.patience):
		p.abandoned = true
		return fmt.Errorf("did not stop within %s of the signal: %w", p.patience, context.Cause(ctx))
	}
}

func (p *program) results(reason, message string) []result {
	var results []result
	for _, out := range p.layout.outputs {
		value := ""
		if !p.abandoned {
			value = redact.Text(p.config.Elem().FieldByIndex(out.index).String())
		}
		results = append(results, result{out.name, out.env, value})
	}
	return append(results,
		result{reasonResult, resultEnv(reasonResult), reason},
		result{messageResult, resultEnv(messageResult), message})
}

// stopped is the cause of a context that a signal ended.
type stopped struct{ signal os.Signal }

func (s *stopped) Error() string { return "stopped by signal " + s.signal.String() }

// WithSignals returns a context that ends with the first SIGINT or SIGTERM. The
// second one ends the process at once, as it would without this package.
func WithSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	received := make(chan os.Signal, 1)
	signal.Notify(received, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-received:
			signal.Stop(received)
			cancel(&stopped{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(received); cancel(nil) }
}
