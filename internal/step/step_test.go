package step_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/step"
)

// greet is a program with one field of each kind. What it does is chosen by its
// parameter mode.
type greet struct {
	URL      string        `param:"url" required:"true" desc:"Where to greet. Example: https://example.com"`
	Mode     string        `param:"mode" default:"fine" desc:"fine, or a kind of failure."`
	Times    int           `param:"times" default:"1" desc:"How often."`
	Timeout  time.Duration `param:"timeout" default:"5m" desc:"How long. Example: 10s"`
	Verify   bool          `param:"sslVerify" default:"true" desc:"Whether to verify."`
	Names    []string      `param:"names" desc:"Whom, one per line."`
	Version  string        `param:"version" desc:"A parameter that cli would take for itself."`
	Output   string        `workspace:"output" required:"true" desc:"Folder."`
	Source   string        `workspace:"source" checkout:"true" desc:"A checkout."`
	Creds    string        `credentials:"path"`
	Greeting string        `result:"greeting" desc:"What was said."`
	Chains   string        `result:"CHAINS-GIT_URL" desc:"A name with other characters."`
}

func run(ctx context.Context, c *greet) error {
	slog.InfoContext(ctx, "greeting", "url", c.URL, "names", strings.Join(c.Names, "|"))
	c.Greeting = fmt.Sprintf("%s %d %s %v %q %s", strings.Join(c.Names, "|"), c.Times, c.Timeout, c.Verify, c.Version, c.Output)
	c.Chains = c.URL
	cause := errors.New("said no to https://bot:c4nary-secret@example.com/x")
	switch c.Mode {
	case "retryable":
		return fault.Retryable("TryAgain", cause, "try again")
	case "refused":
		return fault.Refused("NeverAgain", cause, "do not try again")
	case "unverified":
		return fault.Unverified("NotHealthy", cause, "look at it")
	case "long":
		return errors.New(strings.Repeat("very ", 200) + "long")
	case "where":
		c.Greeting = c.Source
	case "large":
		c.Greeting = strings.Repeat("x", 2000)
	case "wait", "hang":
		if err := os.WriteFile(c.Output+"/ready", nil, 0o600); err != nil {
			return err
		}
		<-ctx.Done()
		if c.Mode == "hang" {
			select {} // ignores the signal, as a library might
		}
		return fmt.Errorf("greet: %w", context.Cause(ctx))
	}
	return nil
}

func main() { step.Main("greet", "say hello", run) }

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"greet": main}) }

func TestSessions(t *testing.T) { testscript.Run(t, testscript.Params{Dir: "testdata"}) }

// TestRow16_SignalEndsTheProgram covers a program that heeds its context and
// one that does not: both end within 10 s with the signal's exit code.
func TestRow16_SignalEndsTheProgram(t *testing.T) {
	for _, c := range []struct {
		mode   string
		signal syscall.Signal
		code   int
	}{{"wait", syscall.SIGTERM, 143}, {"wait", syscall.SIGINT, 130}, {"hang", syscall.SIGTERM, 143}} {
		t.Run(fmt.Sprint(c.mode, c.signal), func(t *testing.T) {
			t.Parallel()
			testSignal(t, c.mode, c.signal, c.code)
		})
	}
}

func testSignal(t *testing.T, mode string, sig syscall.Signal, code int) {
	dir := t.TempDir()
	reason := dir + "/reason"
	cmd := exec.Command("greet", "--url=x", "--mode="+mode, "--output="+dir)
	cmd.Env = append(os.Environ(), "RESULT_ERROR_REASON_PATH="+reason)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, dir+"/ready")
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("stopped after %s; the contract says 10 s", took)
	}
	if got, err := os.ReadFile(reason); err != nil || string(got) != "Stopped" {
		t.Errorf("error-reason = %q, %v", got, err)
	}
}

func await(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s did not appear within 30 s", path)
}
