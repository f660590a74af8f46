package retry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockstep-cd/lockstep/internal/retry"
)

var errBusy = errors.New("busy, token=canary")

// always says of every error that it passes, after a while.
func always(after time.Duration) retry.Judge {
	return func(error) (time.Duration, bool) { return after, true }
}

// tried runs an operation that fails so often, on a clock of its own.
func tried(t *testing.T, p retry.Policy, judge retry.Judge, within time.Duration, failures int) (err error, tries int, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		if within > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, within)
			defer cancel()
		}
		start := time.Now()
		err = p.Do(ctx, judge, func(context.Context) error {
			if tries++; failures >= 0 && tries > failures {
				return nil
			}
			return errBusy
		})
		took = time.Since(start)
	})
	return err, tries, took
}

func TestRow08_PausesGrowUpToABound(t *testing.T) {
	err, tries, took := tried(t, retry.Policy{For: time.Hour}, always(0), 0, 10)
	// 0.1 s doubled nine times, each between half and whole, none over 10 s.
	if err != nil || tries != 11 || took < 21*time.Second || took > 43*time.Second {
		t.Errorf("%d tries in %s: %v", tries, took, err)
	}
	_, tries, took = tried(t, retry.Policy{For: time.Hour, Longest: 200 * time.Millisecond}, always(0), 0, 10)
	if tries != 11 || took > 2*time.Second {
		t.Errorf("%d tries in %s with short pauses", tries, took)
	}
}

func TestRow08_OneDeadlineBoundsAllTries(t *testing.T) {
	for name, c := range map[string]struct {
		policy        retry.Policy
		after, within time.Duration
		tries         int // 0: several
		most          time.Duration
		callers       bool // the context's deadline counts
	}{
		"its own":                   {policy: retry.Policy{For: time.Minute}, most: time.Minute},
		"the context's":             {policy: retry.Policy{For: time.Hour}, within: time.Minute, most: time.Minute, callers: true},
		"only the context's":        {within: time.Minute, most: time.Minute, callers: true},
		"none":                      {tries: 1},
		"negative":                  {policy: retry.Policy{For: -1}, within: time.Minute, tries: 1},
		"so many tries":             {policy: retry.Policy{For: time.Hour, Tries: 4}, tries: 4, most: time.Minute},
		"the server wants too long": {policy: retry.Policy{For: time.Minute}, after: time.Hour, tries: 1},
		"the server wants for ever": {policy: retry.Policy{For: time.Minute}, after: 1<<63 - 1, tries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			err, tries, took := tried(t, c.policy, always(c.after), c.within, -1)
			if !errors.Is(err, errBusy) || errors.Is(err, context.DeadlineExceeded) != c.callers {
				t.Errorf("the error is %v", err)
			}
			if c.tries > 0 && tries != c.tries || c.tries == 0 && tries < 3 || took > c.most {
				t.Errorf("%d tries in %s", tries, took)
			}
		})
	}
}

func TestRow08_AServerIsLeftAloneAsLongAsItAsks(t *testing.T) {
	err, tries, took := tried(t, retry.Policy{For: time.Hour}, always(20*time.Second), 0, 2)
	if err != nil || tries != 3 || took < 40*time.Second || took > 41*time.Second {
		t.Errorf("%d tries in %s: %v", tries, took, err)
	}
}

func TestErrorsThatDoNotPassAreFinal(t *testing.T) {
	never := func(error) (time.Duration, bool) { return 0, false }
	if err, tries, _ := tried(t, retry.Policy{For: time.Hour}, never, 0, -1); err != errBusy || tries != 1 { //nolint:errorlint // as it is
		t.Errorf("%d tries: %v", tries, err)
	}
}

func TestACancelledContextEndsAPause(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped")
	err := retry.Policy{For: time.Hour}.Do(ctx, func(error) (time.Duration, bool) {
		cancel(stop)
		return time.Minute, true
	}, func(context.Context) error { return errBusy })
	if !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

// TestTheLogSaysWhatIsWaitedFor, and why, without secrets.
func TestTheLogSaysWhatIsWaitedFor(t *testing.T) {
	var log bytes.Buffer
	p := retry.Policy{
		For: time.Hour, Of: "git.example.com", Log: slog.New(slog.NewTextHandler(&log, nil)),
		Hide: func(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "canary", "***")) },
	}
	if err, _, _ := tried(t, p, always(0), 0, 1); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"git.example.com", "busy, token=***", "in="} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %q: %s", part, log.String())
		}
	}
}
